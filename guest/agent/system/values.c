/* Values of JavaScript as C needs them, and errors the other way. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "system.h"

JSValue fail(JSContext *ctx, const char *call)
{
    return JS_ThrowInternalError(ctx, "%s: %s", call, strerror(errno));
}

const char *text(JSContext *ctx, JSValueConst value)
{
    if (JS_IsNull(value) || JS_IsUndefined(value)) return NULL;
    return JS_ToCString(ctx, value);
}

int32_t number(JSContext *ctx, JSValueConst value)
{
    int32_t out = 0;
    JS_ToInt32(ctx, &out, value);
    return out;
}

int32_t field(JSContext *ctx, JSValueConst object, const char *name, int32_t otherwise)
{
    JSValue value = JS_GetPropertyStr(ctx, object, name);
    int32_t out = JS_IsUndefined(value) || JS_IsNull(value) ? otherwise : number(ctx, value);
    JS_FreeValue(ctx, value);
    return out;
}

char **strings(JSContext *ctx, JSValueConst array)
{
    int64_t count = 0;
    JSValue length = JS_GetPropertyStr(ctx, array, "length");
    JS_ToInt64(ctx, &count, length);
    JS_FreeValue(ctx, length);
    char **list = calloc((size_t)count + 1, sizeof *list);
    for (int64_t i = 0; list != NULL && i < count; i++) {
        JSValue item = JS_GetPropertyUint32(ctx, array, (uint32_t)i);
        const char *value = JS_ToCString(ctx, item);
        list[i] = strdup(value ? value : "");
        JS_FreeCString(ctx, value);
        JS_FreeValue(ctx, item);
    }
    return list;
}

void free_strings(char **list)
{
    for (char **one = list; one != NULL && *one != NULL; one++) free(*one);
    free(list);
}

int numbers(JSContext *ctx, JSValueConst object, const char *name, int32_t *into, int room)
{
    JSValue value = JS_GetPropertyStr(ctx, object, name);
    int count = 0;
    for (; JS_IsArray(ctx, value) && count < room; count++) {
        JSValue one = JS_GetPropertyUint32(ctx, value, (uint32_t)count);
        if (JS_IsUndefined(one)) break;
        into[count] = number(ctx, one);
        JS_FreeValue(ctx, one);
    }
    JS_FreeValue(ctx, value);
    return count;
}
