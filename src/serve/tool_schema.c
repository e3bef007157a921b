#include "serve/tool_schema.h"

#include <stdio.h>
#include <string.h>

enum { DEFINITION_BYTES = 32 };

const json_t *tool_function(const json_t *tool)
{
    const json_t *function = json_object_get(tool, "function");
    return json_is_object(function) ? function : NULL;
}

const char *tool_name(const json_t *tool)
{
    const char *name = json_string_value(json_object_get(tool_function(tool), "name"));
    return name == NULL ? "" : name;
}

bool tool_is_named(const json_t *tools, const char *name)
{
    size_t index;
    const json_t *tool;
    json_array_foreach(tools, index, tool)
    {
        if (strcmp(tool_name(tool), name) == 0) return true;
    }
    return false;
}

json_t *tool_parameters(const json_t *tool)
{
    const json_t *parameters = json_object_get(tool_function(tool), "parameters");
    if (json_is_object(parameters)) return json_deep_copy(parameters);
    return json_pack("{s:s, s:{}, s:b}", "type", "object", "properties", "additionalProperties", 0);
}

// ---- References -------------------------------------------------------------------------------------------------

// Where a schema has other schemas by names of the user's, which may be those of keywords.
static bool holds_named_schemas(const char *keyword)
{
    static const char *const keywords[] = {"properties", "patternProperties", "dependentSchemas", "$defs",
                                           "definitions"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strcmp(keyword, keywords[i]) == 0) return true;
    }
    return false;
}

static bool holds_data(const char *keyword)
{
    return strcmp(keyword, "const") == 0 || strcmp(keyword, "enum") == 0 || strcmp(keyword, "default") == 0 ||
           strcmp(keyword, "examples") == 0;
}

// Where the parameters of a tool come to stand, which were the root of their schema.
struct place {
    char pointer[DEFINITION_BYTES]; // "#/$defs/0"
    const char *name;               // "0", in the pointer
    const char *address;            // their "$id", NULL if they have none
};

// What stands behind '#' ("" if there is none); NULL if the reference leads out of the schema.
static const char *fragment_of(const char *reference, const char *address)
{
    size_t length = address == NULL ? 0 : strlen(address);
    bool is_own = length > 0 && strncmp(reference, address, length) == 0;
    if (is_own && (reference[length] == '\0' || reference[length] == '#')) reference += length;
    if (reference[0] == '\0') return reference;
    return reference[0] == '#' ? reference + 1 : NULL;
}

// "#/$defs/a" becomes "#/$defs/0/$defs/a", and "#a" becomes "#0.a": another tool may have the same anchor.
static bool move_reference(json_t *schema, const struct place *place)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const char *fragment = reference == NULL ? NULL : fragment_of(reference, place->address);
    if (fragment == NULL) return true;
    bool is_pointer = fragment[0] == '\0' || fragment[0] == '/';
    json_t *moved =
        is_pointer ? json_sprintf("%s%s", place->pointer, fragment) : json_sprintf("#%s.%s", place->name, fragment);
    return json_object_set_new(schema, "$ref", moved) == 0;
}

static bool move_anchor(json_t *schema, const struct place *place)
{
    const char *anchor = json_string_value(json_object_get(schema, "$anchor"));
    if (anchor == NULL) return true;
    return json_object_set_new(schema, "$anchor", json_sprintf("%s.%s", place->name, anchor)) == 0;
}

static bool move_references(json_t *value, const struct place *place, bool is_schema);

static bool move_object_references(json_t *object, const struct place *place, bool is_schema)
{
    const char *key;
    json_t *value;
    if (is_schema && !(move_reference(object, place) && move_anchor(object, place))) return false;
    json_object_foreach(object, key, value)
    {
        if (is_schema && holds_data(key)) continue;
        if (!move_references(value, place, !is_schema || !holds_named_schemas(key))) return false;
    }
    return true;
}

// Goes no deeper than jansson reads. is_schema: the keys of an object are keywords. False without memory.
static bool move_references(json_t *value, const struct place *place, bool is_schema)
{
    size_t index;
    json_t *item;
    if (json_is_object(value)) return move_object_references(value, place, is_schema);
    json_array_foreach(value, index, item)
    {
        if (!move_references(item, place, true)) return false;
    }
    return true;
}

// ---- Calls ------------------------------------------------------------------------------------------------------

// {"name": ..., "arguments": ...} of one tool, whose parameters stand in the definitions. Arguments are an object, even
// where the parameters do not say so.
static json_t *call_schema(const struct reply_style *style, const json_t *tool, const char *definition)
{
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s, s:s}}, s:[s, s], s:b}", "type", "object", "properties", style->name_key,
                     "const", tool_name(tool), style->arguments_key, "$ref", definition, "type", "object", "required",
                     style->name_key, style->arguments_key, "additionalProperties", 0);
}

// The parameters as a part of another schema, where they can have no address of their own. The caller's reference.
static json_t *placed_parameters(const json_t *tool, struct place *place)
{
    json_t *parameters = tool_parameters(tool);
    place->address = json_string_value(json_object_get(parameters, "$id"));
    if (!move_references(parameters, place, true)) return json_decref(parameters), NULL;
    json_object_del(parameters, "$id");
    json_object_del(parameters, "id"); // $id in draft 4
    return parameters;
}

static bool add_tool(const struct reply_style *style, const json_t *tool, size_t index, bool loose, json_t *calls,
                     json_t *definitions)
{
    struct place place;
    snprintf(place.pointer, sizeof place.pointer, "#/$defs/%zu", index);
    place.name = place.pointer + strlen("#/$defs/");
    json_t *parameters = loose ? json_pack("{s:s}", "type", "object") : placed_parameters(tool, &place);
    return json_object_set_new(definitions, place.name, parameters) == 0 &&
           json_array_append_new(calls, call_schema(style, tool, place.pointer)) == 0;
}

static bool add_tools(const struct reply_style *style, const json_t *tools, const char *name, const bool *loose,
                      json_t *calls, json_t *definitions)
{
    size_t index;
    json_t *tool;
    json_array_foreach(tools, index, tool)
    {
        if (name != NULL && strcmp(name, tool_name(tool)) != 0) continue;
        if (!add_tool(style, tool, index, loose[index], calls, definitions)) return false;
    }
    return true;
}

json_t *tool_schema(const struct reply_style *style, const json_t *tools, const char *name, bool one_call,
                    const bool *loose)
{
    json_t *calls = json_array(), *definitions = json_object();
    if (!add_tools(style, tools, name, loose, calls, definitions)) {
        json_decref(calls);
        json_decref(definitions);
        return NULL;
    }
    if (!style->call_is_list) return json_pack("{s:o, s:o}", "anyOf", calls, "$defs", definitions);
    json_t *list = json_pack("{s:s, s:{s:o}, s:i, s:o}", "type", "array", "items", "anyOf", calls, "minItems", 1,
                             "$defs", definitions);
    if (one_call && list != NULL) json_object_set_new(list, "maxItems", json_integer(1));
    return list;
}
