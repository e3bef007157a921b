// Formats of strings as patterns, each at most as wide as what its specification allows.
#include <stdio.h>
#include <string.h>

#include "text/constraint_schema.h"

// RFC 3339, section 5.6 and 5.7: days that their month has, in years from 0001 on. Leap seconds are left out.
#define YEAR  "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
#define DAY31 "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
#define DAY30 "(0[469]|11)-(0[1-9]|[12][0-9]|30)"
#define DAY28 "02-(0[1-9]|1[0-9]|2[0-8])"
// Years with a 29 February: divisible by 4 and not by 100, or by 400.
#define LEAP "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29"
#define DATE "((" YEAR "-(" DAY31 "|" DAY30 "|" DAY28 "))|" LEAP ")"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4  OCTET "(\\." OCTET "){3}"
#define HEX   "[0-9A-Fa-f]{1,4}"
// RFC 4291, section 2.2, forms 1 and 2.
#define IPV6                                                                                                           \
    "((" HEX ":){7}" HEX "|(" HEX ":){1,7}:|(" HEX ":){1,6}:" HEX "|(" HEX ":){1,5}(:" HEX "){1,2}|(" HEX              \
    ":){1,4}(:" HEX "){1,3}|(" HEX ":){1,3}(:" HEX "){1,4}|(" HEX ":){1,2}(:" HEX "){1,5}|" HEX ":(:" HEX              \
    "){1,6}|:((:" HEX "){1,7}|:))"

// RFC 1123: labels of letters, digits and inner hyphens; the last one is of letters, so that it is no address.
#define LABEL    "[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20})?"
#define TOP      "[A-Za-z]{2,20}"
#define HOSTNAME "(" LABEL "\\.){0,4}" TOP

// RFC 5321: a dot-atom and a host name.
#define ATOM  "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
#define EMAIL ATOM "(\\." ATOM "){0,2}@(" LABEL "\\.){1,3}" TOP

// RFC 3986, with names or IPv4 addresses as hosts, and no users.
#define PCHAR     "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define SEGMENTS  "(/" PCHAR "*)*"
#define QUERY     "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define HOST      "[A-Za-z0-9]+([.-][A-Za-z0-9]+)*"
#define AUTHORITY "//" HOST "(:[1-9][0-9]{0,3})?"
#define URI       "[A-Za-z][A-Za-z0-9+.-]*:(" AUTHORITY SEGMENTS "|/?" PCHAR "+" SEGMENTS ")" QUERY
#define RELATIVE  "(" AUTHORITY SEGMENTS "|/(" PCHAR "+" SEGMENTS ")?|[A-Za-z0-9._~-]+" SEGMENTS ")" QUERY

// ISO 8601 as RFC 3339's appendix A has it.
#define DURATION                                                                                                       \
    "P([0-9]{1,9}W|[0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?" DURATION_TIME "|[0-9]{1,9}M([0-9]{1,9}D)?" DURATION_TIME   \
    "|[0-9]{1,9}D" DURATION_TIME "|T(" HMS "))"
#define HMS           "[0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S"
#define DURATION_TIME "(T(" HMS "))?"

static const struct {
    const char *name, *pattern; // NULL: any string
} formats[] = {
    {"date-time", DATE "T" TIME},
    {"date", DATE},
    {"time", TIME},
    {"duration", DURATION},
    {"email", EMAIL},
    {"hostname", HOSTNAME},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uri", URI},
    {"uri-reference", "(" URI "|" RELATIVE ")"},
    {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
    {"json-pointer", "(/([^/~]|~[01])*)*"},
    {"byte", "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"}, // base64, by OpenAPI
    {"password", NULL},                                                     // how it is shown, by OpenAPI
    {"binary", NULL},
};

_Static_assert(sizeof formats / sizeof formats[0] == SCHEMA_FORMATS, "one place for each");

static tern_status unknown_format(const struct json *format)
{
    char names[300];
    size_t used = 0;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", formats[i].name);
    }
    return status_fail(TERN_UNSUPPORTED, "schema, %s: the format \"%.*s\" is not supported (known: %s)",
                       json_where(format).text, (int)(format->length < 40 ? format->length : 40), format->text, names);
}

tern_status schema_format(struct schema_compiler *c, const struct json *format, const struct regular **out)
{
    char anchored[4096];
    *out = NULL;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!json_is(format, formats[i].name)) continue;
        if (!formats[i].pattern) return TERN_OK;
        int length = snprintf(anchored, sizeof anchored, "^(%s)$", formats[i].pattern);
        if (!c->formats[i]) TRY(schema_pattern(c, format, anchored, (size_t)length, false, &c->formats[i]));
        return *out = c->formats[i], TERN_OK;
    }
    return unknown_format(format);
}
