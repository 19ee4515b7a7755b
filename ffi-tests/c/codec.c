/* The protocol without sockets: two codecs talk over a pair of them, get their bytes in any split,
 * and are told what a peer must not send. */
#include "check.h"

#define LARGEST (256 * 1024)

static lithe_codec_t create(lithe_role role, int64_t max_message_bytes, const char *extensions) {
    lithe_codec_t codec;
    lithe_codec_options_t options = LITHE_CODEC_OPTIONS_INIT;
    options.max_message_bytes = max_message_bytes;
    options.extensions = extensions;
    CHECK_OK(lithe_codec_create(role, &options, &codec));
    return codec;
}

static void check_item(lithe_item_t *item, lithe_item_kind kind, int32_t code, const void *data,
                       size_t len) {
    CHECK(item->kind == kind && item->code == code);
    CHECK(item->message.len == len && memcmp(item->message.data, data, len) == 0);
    lithe_message_free(&item->message);
}

/* Encodes a message, whose length must be told before. */
static size_t encode(lithe_codec_t codec, lithe_message_kind kind, const void *data, size_t data_len,
                     char *frame, size_t capacity) {
    size_t needed, len;
    CHECK_CODE(LITHE_ERR_TOO_SMALL,
               lithe_codec_encode_message(codec, kind, data, data_len, NULL, 0, &needed));
    CHECK(needed <= capacity);
    CHECK_CODE(LITHE_ERR_TOO_SMALL,
               lithe_codec_encode_message(codec, kind, data, data_len, frame, needed - 1, &len));
    CHECK(len == needed);
    CHECK_OK(lithe_codec_encode_message(codec, kind, data, data_len, frame, needed, &len));
    CHECK(len <= needed);
    return len;
}

/* Echoes messages and answers what has to be answered, until the peer closes. */
static void *echo(void *argument) {
    const int end = *(const int *)argument;
    static char frame[LARGEST + 14];
    char received[5000];
    lithe_codec_t codec = create(LITHE_ROLE_SERVER, 0, NULL);
    int closed = 0;
    while (!closed) {
        ssize_t got = recv(end, received, sizeof received, 0);
        CHECK(got > 0);
        for (size_t used = 0, more; used < (size_t)got; used += more) {
            lithe_item_t items[2];
            size_t len = 0;
            int32_t count = lithe_codec_decode(codec, received + used, (size_t)got - used, &more,
                                               items, 2);
            CHECK(count >= 0);
            for (int32_t i = 0; i < count; i++) {
                const lithe_message_t *message = &items[i].message;
                if (items[i].kind == LITHE_ITEM_MESSAGE) {
                    len = encode(codec, message->kind, message->data, message->len, frame,
                                 sizeof frame);
                } else if (items[i].kind == LITHE_ITEM_PING) {
                    CHECK_OK(lithe_codec_encode_pong(codec, message->data, message->len, frame,
                                                     sizeof frame, &len));
                } else {
                    CHECK(items[i].kind == LITHE_ITEM_CLOSE && lithe_codec_close_code(codec) == 4001);
                    CHECK_OK(lithe_codec_encode_close(codec, 0, "seen", LITHE_CSTR, frame,
                                                      sizeof frame, &len));
                    closed = 1;
                }
                client_send(end, frame, len);
                lithe_message_free(&items[i].message);
            }
        }
    }
    CHECK_OK(lithe_codec_free(codec));
    return NULL;
}

/* Reads until the codec has one more item. */
static lithe_item_t receive(int end, lithe_codec_t codec) {
    lithe_item_t item;
    for (;;) {
        char byte[1];
        size_t used;
        client_read(end, byte, 1);
        int32_t count = lithe_codec_decode(codec, byte, 1, &used, &item, 1);
        CHECK(count >= 0 && used == 1);
        if (count == 1) {
            return item;
        }
    }
}

static void check_echo(void) {
    static char message[LARGEST], frame[LARGEST + 14];
    const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, LARGEST };
    int ends[2];
    size_t len;
    lithe_item_t item;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pthread_t server = start_thread(echo, &ends[1]);
    lithe_codec_t codec = create(LITHE_ROLE_CLIENT, -1, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const lithe_message_kind kind = i % 2 == 0 ? LITHE_TEXT : LITHE_BINARY;
        memset(message, (int)('a' + i), sizes[i]);
        len = encode(codec, kind, message, sizes[i], frame, sizeof frame);
        CHECK(len >= sizes[i] + 6 && len <= sizes[i] + 14);
        /* Masked, it does not go over the wire as it is. */
        CHECK(sizes[i] < 8 || memcmp(frame + len - sizes[i], message, sizes[i]) != 0);
        client_send(ends[0], frame, len);
        item = receive(ends[0], codec);
        CHECK(item.message.kind == kind);
        check_item(&item, LITHE_ITEM_MESSAGE, 0, message, sizes[i]);
    }
    CHECK_OK(lithe_codec_encode_ping(codec, "still there?", 12, frame, sizeof frame, &len));
    client_send(ends[0], frame, len);
    item = receive(ends[0], codec);
    check_item(&item, LITHE_ITEM_PONG, 0, "still there?", 12);
    CHECK_OK(lithe_codec_encode_close(codec, 4001, "enough", 6, frame, sizeof frame, &len));
    client_send(ends[0], frame, len);
    item = receive(ends[0], codec);
    check_item(&item, LITHE_ITEM_CLOSE, 4001, "seen", 4);
    join_thread(server);
    CHECK_OK(lithe_codec_free(codec));
    close(ends[0]);
    close(ends[1]);
}

/* What a client sent, masked with zeros, in pieces of every size and with every capacity. */
static void check_splits(void) {
    static const char sent[] = "\x01\x82\0\0\0\0He"
                               "\x89\x81\0\0\0\0p"
                               "\x80\x83\0\0\0\0llo"
                               "\x82\x80\0\0\0\0"
                               "\x88\x85\0\0\0\0\x0f\xa0"
                               "bye"
                               "behind a close";
    for (size_t piece = 1; piece < sizeof sent; piece++) {
        for (size_t capacity = 1; capacity <= 5; capacity++) {
            lithe_item_t items[9];
            size_t count = 0;
            lithe_codec_t codec = create(LITHE_ROLE_SERVER, 5, NULL);
            for (size_t at = 0; at < sizeof sent - 1;) {
                char copy[sizeof sent];
                size_t len = sizeof sent - 1 - at < piece ? sizeof sent - 1 - at : piece;
                size_t used = 99;
                memcpy(copy, sent + at, len);
                int32_t got = lithe_codec_decode(codec, copy, len, &used, items + count, capacity);
                CHECK(got >= 0 && (size_t)got <= capacity && used <= len);
                CHECK(used == len || (size_t)got == capacity);
                CHECK(memcmp(copy + used, sent + at + used, len - used) == 0);
                count += (size_t)got;
                at += used;
                CHECK(count <= 4);
            }
            CHECK(count == 4);
            check_item(&items[0], LITHE_ITEM_PING, 0, "p", 1);
            check_item(&items[1], LITHE_ITEM_MESSAGE, 0, "Hello", 5);
            check_item(&items[2], LITHE_ITEM_MESSAGE, 0, "", 0);
            check_item(&items[3], LITHE_ITEM_CLOSE, 4000, "bye", 3);
            CHECK(lithe_codec_close_code(codec) == 4000);
            CHECK_OK(lithe_codec_free(codec));
        }
    }
}

/* A good message and then what a peer must not send. */
static void check_violation(const char *bad, size_t bad_len, int32_t close_code) {
    char sent[64] = "\x81\x81\0\0\0\0x";
    char frame[256];
    size_t used, len;
    lithe_item_t items[4];
    lithe_codec_t codec = create(LITHE_ROLE_SERVER, 10, NULL);
    memcpy(sent + 7, bad, bad_len);
    CHECK_CODE(1, lithe_codec_decode(codec, sent, 7 + bad_len, &used, items, 4));
    check_item(&items[0], LITHE_ITEM_MESSAGE, 0, "x", 1);
    CHECK(used < 7 + bad_len);
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(LITHE_ERR_PROTOCOL,
                   lithe_codec_decode(codec, sent + used, 7 + bad_len - used, &used, items, 4));
        CHECK(used == 0);
    }
    CHECK(strlen(lithe_last_error()) > 0);
    CHECK(lithe_codec_close_code(codec) == close_code);
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_codec_encode_close(codec, 0, NULL, 0, frame, 3, &len));
    CHECK_OK(lithe_codec_encode_close(codec, 0, NULL, 0, frame, sizeof frame, &len));
    CHECK((unsigned char)frame[0] == 0x88 && len == 2 + (size_t)frame[1] && len > 4);
    CHECK(((unsigned char)frame[2] << 8 | (unsigned char)frame[3]) == close_code);
    CHECK_OK(lithe_codec_free(codec));
}

static void check_garbage(void) {
    uint32_t state = 1;
    for (int i = 0; i < 500; i++) {
        char bytes[64];
        size_t used;
        lithe_item_t items[64];
        lithe_codec_t codec = create(i % 2 == 0 ? LITHE_ROLE_SERVER : LITHE_ROLE_CLIENT, 1000,
                                     i % 3 == 0 ? "permessage-deflate" : NULL);
        for (int n = 0; n < 20; n++) {
            for (size_t k = 0; k < sizeof bytes; k++) {
                state = state * 1664525 + 1013904223;
                bytes[k] = (char)(state >> 24);
            }
            /* Often enough the beginning of a frame that may be one. */
            if (n == 0) {
                bytes[0] = (char)0x81;
                bytes[1] = (char)(i % 2 == 0 ? 0x83 : 0x03);
            }
            int32_t count = lithe_codec_decode(codec, bytes, sizeof bytes, &used, items, 64);
            CHECK(count >= 0 || count == LITHE_ERR_PROTOCOL);
            for (int32_t k = 0; k < count; k++) {
                lithe_message_free(&items[k].message);
            }
        }
        CHECK_OK(lithe_codec_free(codec));
    }
}

static void check_compressed(const char *extensions) {
    static char text[20000], frame[20020];
    const lithe_role roles[] = { LITHE_ROLE_CLIENT, LITHE_ROLE_SERVER };
    for (int from = 0; from < 2; from++) {
        lithe_codec_t sender = create(roles[from], 0, extensions);
        lithe_codec_t receiver = create(roles[1 - from], 0, extensions);
        uint32_t state = 7;
        for (int i = 0; i < 12; i++) {
            lithe_item_t item;
            size_t used;
            for (size_t k = 0; k < sizeof text; k++) {
                state = state * 1664525 + 1013904223;
                /* Every third message cannot be compressed. */
                text[k] = i % 3 == 1 ? (char)(state >> 24) : "hello"[k % 5];
            }
            size_t len = encode(sender, LITHE_BINARY, text, sizeof text, frame, sizeof frame);
            CHECK(i % 3 == 1 ? len > sizeof text : len < sizeof text / 10);
            CHECK_CODE(1, lithe_codec_decode(receiver, frame, len, &used, &item, 1));
            CHECK(used == len);
            check_item(&item, LITHE_ITEM_MESSAGE, 0, text, sizeof text);
        }
        CHECK_OK(lithe_codec_free(sender));
        CHECK_OK(lithe_codec_free(receiver));
    }
}

static void check_handshake(void) {
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    static const char expected[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    char buffer[128];
    size_t len = 99;
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_codec_accept_key(key, NULL, 0, &len));
    CHECK(len == 28);
    CHECK_OK(lithe_codec_accept_key(key, buffer, 28, &len));
    CHECK(len == 28 && memcmp(buffer, expected, 28) == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_accept_key("short", buffer, 28, &len));
    CHECK(len == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_accept_key(NULL, buffer, 28, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_accept_key(key, buffer, 28, NULL));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_codec_accept_key("\xff", buffer, 28, &len));

    char keys[2][25] = { "", "" };
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_codec_create_key(keys[i], 23, &len));
        CHECK(len == 24 && keys[i][0] == '\0');
        CHECK_OK(lithe_codec_create_key(keys[i], 24, &len));
        CHECK(len == 24 && strlen(keys[i]) == 24);
        CHECK_OK(lithe_codec_accept_key(keys[i], buffer, sizeof buffer, &len));
    }
    CHECK(strcmp(keys[0], keys[1]) != 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create_key(NULL, 24, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create_key(buffer, 24, NULL));

    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_codec_extensions("x-other", buffer, 128, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_extensions(NULL, buffer, 128, &len));
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_codec_extensions("permessage-deflate", buffer, 9, &len));
    CHECK_OK(lithe_codec_extensions("x-other, permessage-deflate; client_max_window_bits", buffer,
                                    sizeof buffer - 1, &len));
    buffer[len] = '\0';
    CHECK(strncmp(buffer, "permessage-deflate", 18) == 0);
    check_compressed(buffer);
}

static void check_misuse(void) {
    char frame[256], data[126] = { 0 };
    size_t len, used;
    lithe_item_t item;
    lithe_codec_t codec;
    lithe_codec_options_t options = LITHE_CODEC_OPTIONS_INIT;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create(0, NULL, &codec));
    CHECK(codec == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create(LITHE_ROLE_SERVER, NULL, NULL));
    const char *malformed[] = { "gzip", "permessage-deflate; x",
                                "permessage-deflate; server_max_window_bits=8" };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        options.extensions = malformed[i];
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create(LITHE_ROLE_SERVER, &options, &codec));
    }
    options.extensions = NULL;
    options.max_message_bytes = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create(LITHE_ROLE_SERVER, &options, &codec));
    options.size = 0;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_create(LITHE_ROLE_SERVER, &options, &codec));

    CHECK_OK(lithe_codec_create(LITHE_ROLE_SERVER, NULL, &codec));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_decode(codec, NULL, 1, &used, &item, 1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_decode(codec, data, 1, NULL, &item, 1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_decode(codec, data, 1, &used, NULL, 1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_codec_decode(codec, data, 1, &used, &item, 0));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_codec_decode(codec, data, (size_t)-1, &used, &item, 1));
    CHECK_CODE(0, lithe_codec_decode(codec, NULL, 0, &used, &item, 1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_codec_encode_message(codec, 7, "x", 1, frame, sizeof frame, &len));
    CHECK(len == 0);
    CHECK_CODE(LITHE_ERR_NOT_UTF8,
               lithe_codec_encode_message(codec, LITHE_TEXT, "\xff", 1, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_codec_encode_message(codec, LITHE_TEXT, "x", 1, NULL, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_codec_encode_message(codec, LITHE_TEXT, "x", 1, frame, sizeof frame, NULL));
    CHECK_CODE(LITHE_ERR_TOO_LARGE,
               lithe_codec_encode_ping(codec, data, sizeof data, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_TOO_LARGE,
               lithe_codec_encode_pong(codec, data, sizeof data, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_codec_encode_close(codec, 0, data, sizeof data, frame,
                                                             sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_codec_encode_close(codec, 1006, NULL, 0, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_codec_encode_close(codec, 1000, NULL, 0, NULL, 0, &len));
    CHECK(len == 4 && lithe_codec_close_code(codec) == 1000);
    CHECK_OK(lithe_codec_encode_close(codec, 1005, NULL, 0, frame, sizeof frame, &len));
    CHECK(len == 2 && memcmp(frame, "\x88\x00", 2) == 0);
    CHECK_CODE(LITHE_ERR_CLOSED,
               lithe_codec_encode_close(codec, 0, NULL, 0, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_CLOSED,
               lithe_codec_encode_message(codec, LITHE_TEXT, "x", 1, frame, sizeof frame, &len));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_codec_encode_ping(codec, "", 0, frame, sizeof frame, &len));
    CHECK_OK(lithe_codec_free(codec));

    const lithe_codec_t bad[] = { 0, codec, UINT64_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_decode(bad[i], data, 1, &used, &item, 1));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_encode_message(bad[i], LITHE_TEXT, "x", 1, frame,
                                                                    sizeof frame, &len));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_encode_ping(bad[i], "", 0, frame, 9, &len));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_encode_pong(bad[i], "", 0, frame, 9, &len));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE,
                   lithe_codec_encode_close(bad[i], 0, NULL, 0, frame, 9, &len));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_close_code(bad[i]));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_codec_free(bad[i]));
    }
}

/* Uses one codec from several threads, which get a whole frame or an error each time. */
static void *share(void *argument) {
    const lithe_codec_t codec = *(const lithe_codec_t *)argument;
    for (int i = 0; i < 2000; i++) {
        char frame[64], sent[8] = "\x81\x81\0\0\0\0x";
        size_t len, used;
        lithe_item_t item;
        int32_t code = lithe_codec_encode_message(codec, LITHE_TEXT, "shared", 6, frame, 64, &len);
        CHECK(code == LITHE_OK ? len == 8 : code == LITHE_ERR_BAD_HANDLE);
        code = lithe_codec_decode(codec, sent, 7, &used, &item, 1);
        if (code == 1) {
            check_item(&item, LITHE_ITEM_MESSAGE, 0, "x", 1);
        } else {
            CHECK(code == LITHE_ERR_BAD_HANDLE);
        }
        if (i == 1500) {
            lithe_codec_free(codec);
        }
    }
    return NULL;
}

int main(void) {
    check_echo();
    check_splits();
    check_violation("\x81\x8b\0\0\0\0twelve more", 17, 1009);
    check_violation("\x81\x81\0\0\0\0\xff", 7, 1007);
    check_violation("\x81\x01x", 3, 1002);
    check_violation("\xc1\x81\0\0\0\0x", 7, 1002);
    check_violation("\x80\x81\0\0\0\0x", 7, 1002);
    check_violation("\x83\x80\0\0\0\0", 6, 1002);
    check_violation("\x88\x81\0\0\0\0x", 7, 1002);
    check_garbage();
    check_compressed("permessage-deflate");
    check_compressed("permessage-deflate; client_max_window_bits=9; server_no_context_takeover");
    check_handshake();
    check_misuse();

    lithe_codec_t shared = create(LITHE_ROLE_SERVER, 0, NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        threads[i] = start_thread(share, &shared);
    }
    for (size_t i = 0; i < 4; i++) {
        join_thread(threads[i]);
    }
    return 0;
}
