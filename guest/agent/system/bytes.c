/* Text and base64 to and from bytes. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include "system.h"

FUNCTION(js_encode)
{
    size_t size = 0;
    const char *bytes = JS_ToCStringLen(ctx, &size, argv[0]);
    if (bytes == NULL) return JS_EXCEPTION;
    JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)bytes, size);
    JS_FreeCString(ctx, bytes);
    return buffer;
}

FUNCTION(js_decode)
{
    size_t size = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &size, argv[0]);
    int32_t offset = number(ctx, argv[1]), length = number(ctx, argv[2]);
    if (bytes == NULL || offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return JS_ThrowInternalError(ctx, "decode: range");
    return JS_NewStringLen(ctx, (const char *)bytes + offset, (size_t)length);
}

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

FUNCTION(js_to_base64)
{
    size_t size = 0;
    uint8_t *in = JS_GetArrayBuffer(ctx, &size, argv[0]);
    int32_t offset = number(ctx, argv[1]), length = number(ctx, argv[2]);
    if ((in == NULL && size != 0) || offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return JS_ThrowInternalError(ctx, "base64: range");
    char *out = malloc((size_t)length / 3 * 4 + 8), *to = out;
    if (out == NULL) return fail(ctx, "malloc");
    for (int32_t i = 0; i < length; i += 3) {
        const uint8_t *at = in + offset + i;
        int left = length - i;
        uint32_t bits = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        *to++ = base64_letters[bits >> 18];
        *to++ = base64_letters[bits >> 12 & 63];
        *to++ = left > 1 ? base64_letters[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? base64_letters[bits & 63] : '=';
    }
    JSValue value = JS_NewStringLen(ctx, out, (size_t)(to - out));
    free(out);
    return value;
}

FUNCTION(js_from_base64)
{
    static int8_t values[256];
    if (values['B'] == 0) {
        memset(values, -1, sizeof values);
        for (int i = 0; i < 64; i++) values[(uint8_t)base64_letters[i]] = (int8_t)i;
    }
    size_t size = 0;
    const char *in = JS_ToCStringLen(ctx, &size, argv[0]);
    uint8_t *out = in == NULL ? NULL : malloc(size / 4 * 3 + 3);
    if (out == NULL) return JS_EXCEPTION;
    size_t to = 0;
    uint32_t held = 0;
    int bits = 0;
    for (size_t i = 0; i < size && in[i] != '='; i++) {
        int value = values[(uint8_t)in[i]];
        if (value < 0) break;
        held = held << 6 | (uint32_t)value;
        if ((bits += 6) >= 8) out[to++] = (uint8_t)(held >> (bits -= 8));
    }
    JS_FreeCString(ctx, in);
    JSValue buffer = JS_NewArrayBufferCopy(ctx, out, to);
    free(out);
    return buffer;
}

const JSCFunctionListEntry bytes_functions[] = {
    JS_CFUNC_DEF("encode", 1, js_encode),
    JS_CFUNC_DEF("decode", 3, js_decode),
    JS_CFUNC_DEF("toBase64", 3, js_to_base64),
    JS_CFUNC_DEF("fromBase64", 1, js_from_base64),
};
const int bytes_function_count = (int)(sizeof bytes_functions / sizeof bytes_functions[0]);
