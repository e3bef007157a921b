#include "text/template.h"

#include <stdlib.h>

#include "text/template_run.h"

tern_status template_parse(const char *source, size_t length, struct template **out)
{
    struct template *tmpl = calloc(1, sizeof *tmpl);
    if (!tmpl) return status_fail(TERN_NO_MEMORY, "no memory for a template");
    struct c_locale locale;
    tern_status status = c_locale_enter(&locale);
    if (status == TERN_OK) {
        status = parser_parse(tmpl, source, length);
        c_locale_leave(&locale);
    }
    if (status != TERN_OK) {
        template_free(tmpl);
        return status;
    }
    *out = tmpl;
    return TERN_OK;
}

void template_free(struct template *tmpl)
{
    if (!tmpl) return;
    template_arena_free(&tmpl->arena);
    free(tmpl);
}

static tern_status render(struct run *run, const struct template *tmpl, const char *json, size_t json_length,
                          struct buffer *out)
{
    struct value variables;
    TRY(json_parse(run, json, json_length, &variables));
    if (variables.kind != VALUE_DICT)
        return status_fail(TERN_INVALID, "a template's variables must be a JSON object, not %s", value_type(variables));
    return template_execute(run, tmpl, variables.dict, out);
}

tern_status template_render(const struct template *tmpl, const char *json, size_t json_length, int64_t now,
                            const struct template_limits *limits, struct buffer *out)
{
    struct run run;
    TRY(run_open(&run, limits, now));
    tern_status status = render(&run, tmpl, json, json_length, out);
    run_close(&run);
    return status;
}
