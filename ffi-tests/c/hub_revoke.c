/* Tokens that are revoked: their streams end, and they are not let in again; the others stay. */
#include "check.h"

#include <time.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define HOUR_MS 3600000

/* ---- Tokens: RFC 7519, signed by HS256 ---- */

static uint32_t turned(uint32_t word, int bits) {
    return word >> bits | word << (32 - bits);
}

/* FIPS 180-4 §6.2.2. */
static void sha256_block(uint32_t hash[8], const unsigned char *block) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    };
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, hash, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t s0 = turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        hash[i] += v[i];
    }
}

static void sha256(unsigned char digest[32], const unsigned char *data, size_t len) {
    uint32_t hash[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    unsigned char padded[1024] = { 0 };
    size_t whole = (len + 9 + 63) / 64 * 64;
    CHECK(whole <= sizeof padded);
    memcpy(padded, data, len);
    padded[len] = 0x80;
    for (int i = 0; i < 8; i++) {
        padded[whole - 1 - (size_t)i] = (unsigned char)((uint64_t)len * 8 >> 8 * i);
    }
    for (size_t at = 0; at < whole; at += 64) {
        sha256_block(hash, padded + at);
    }
    for (int i = 0; i < 32; i++) {
        digest[i] = (unsigned char)(hash[i / 4] >> (24 - 8 * (i % 4)));
    }
}

/* RFC 2104, with a key of at most 64 bytes. */
static void hmac(unsigned char digest[32], const char *key, const char *text) {
    unsigned char inner[64 + 800], outer[64 + 32];
    size_t len = strlen(text);
    CHECK(len <= sizeof inner - 64 && strlen(key) <= 64);
    memset(inner, 0x36, 64);
    memset(outer, 0x5c, 64);
    for (size_t i = 0; i < strlen(key); i++) {
        inner[i] ^= (unsigned char)key[i];
        outer[i] ^= (unsigned char)key[i];
    }
    memcpy(inner + 64, text, len);
    sha256(outer + 64, inner, 64 + len);
    sha256(digest, outer, sizeof outer);
}

/* RFC 4648 §5, without padding; behind what is there. */
static void append_base64url(char *text, const void *data, size_t len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *bytes = (const unsigned char *)data;
    text += strlen(text);
    for (size_t bit = 0; bit < 8 * len; bit += 6) {
        unsigned int pair = (unsigned int)bytes[bit / 8] << 8;
        pair |= bit / 8 + 1 < len ? bytes[bit / 8 + 1] : 0;
        *text++ = digits[pair >> (10 - bit % 8) & 63];
    }
    *text = '\0';
}

/* The head of a request with a token of that number for who may hear news.* and users.*. It was
 * issued a minute ago, and lives for that time from now. */
static void bearer(char header[1024], const char *id, const char *subject, long lives_s) {
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char claims[512], token[800] = "";
    unsigned char signature[32];
    long now = (long)time(NULL);
    snprintf(claims, sizeof claims,
             "{\"jti\":\"%s\",\"sub\":\"%s\",\"iat\":%ld,\"exp\":%ld,"
             "\"lithe\":{\"subscribe\":[\"news.*\",\"users.*\"]}}",
             id, subject, now - 60, now + lives_s);
    append_base64url(token, head, strlen(head));
    strcat(token, ".");
    append_base64url(token, claims, strlen(claims));
    hmac(signature, SECRET, token);
    strcat(token, ".");
    append_base64url(token, signature, sizeof signature);
    snprintf(header, 1024, "Authorization: Bearer %s\r\n", token);
}

/* ---- The tests ---- */

static lithe_hub_t create(int64_t longest_token_ms) {
    lithe_hub_t hub;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    options.longest_token_ms = longest_token_ms;
    CHECK_OK(lithe_hub_create(&options, &hub));
    return hub;
}

static void mount(lithe_server_t server, lithe_hub_t hub, const char *path) {
    lithe_mount_options_t options = LITHE_MOUNT_OPTIONS_INIT;
    options.authorize = LITHE_AUTHORIZE_JWT;
    options.jwt_algorithm = "HS256";
    options.jwt_key.ptr = SECRET;
    options.jwt_key.len = LITHE_CSTR;
    CHECK_OK(lithe_server_mount(server, hub, path, &options));
}

static void publish(lithe_hub_t hub, const char *channel, const char *data) {
    CHECK_OK(lithe_publish(hub, channel, LITHE_CSTR, data, LITHE_CSTR, NULL, NULL));
}

static void expect(int client, const char *part) {
    char text[16384];
    client_read_until(client, part, text, sizeof text);
}

static int get(lithe_server_t server, const char *path, const char *id, const char *subject) {
    char header[1024];
    int client = client_connect(server);
    bearer(header, id, subject, 1800);
    client_get(client, path, header);
    return client;
}

/* One that listens to both channels. */
static int listen_as(lithe_server_t server, const char *id, const char *subject) {
    int client = get(server, "/hub/sse?channel=news.sport&channel=users.x", id, subject);
    expect(client, "HTTP/1.1 200 OK\r\n");
    expect(client, "event: lithe.sub\n");
    expect(client, "event: lithe.sub\n");
    return client;
}

static void check_refused(lithe_server_t server, const char *id, const char *subject) {
    int client = get(server, "/hub/sse?channel=news.sport", id, subject);
    expect(client, "HTTP/1.1 401 ");
    close(client);
}

static lithe_revocation_t of_nothing(void) {
    lithe_revocation_t revocation = LITHE_REVOCATION_INIT;
    return revocation;
}

static lithe_string_t text(const char *terminated) {
    lithe_string_t string = { terminated, LITHE_CSTR };
    return string;
}

static void check_token(lithe_server_t server, lithe_hub_t hub) {
    int stolen = listen_as(server, "1", "alice"), own = listen_as(server, "2", "alice");
    lithe_revocation_t revocation = of_nothing();
    revocation.token_id = text("1");
    CHECK_OK(lithe_hub_revoke(hub, &revocation));
    expect(stolen, "event: lithe.error\ndata: {\"type\":\"error\",\"channel\":\"news.sport\",\"code\":\"denied\"");
    expect(stolen, "event: lithe.bye\ndata: {\"type\":\"bye\",\"reason\":\"denied\"");
    expect(stolen, "\r\n0\r\n\r\n");
    close(stolen);
    publish(hub, "news.sport", "goal");
    expect(own, "data: goal\n");
    close(own);
    check_refused(server, "1", "alice");
    close(listen_as(server, "2", "alice"));
}

static void check_subject(lithe_server_t server, lithe_hub_t hub) {
    int bob = listen_as(server, "3", "bob"), alice = listen_as(server, "2", "alice");
    lithe_revocation_t revocation = of_nothing();
    revocation.subject = text("bob");
    /* Those from before the token was issued; it stays. */
    revocation.issued_before_ms = ((int64_t)time(NULL) - 1000) * 1000;
    CHECK_OK(lithe_hub_revoke(hub, &revocation));
    close(listen_as(server, "3", "bob"));
    publish(hub, "users.x", "still here");
    expect(bob, "data: still here\n");
    revocation.issued_before_ms = 0;
    CHECK_OK(lithe_hub_revoke(hub, &revocation));
    expect(bob, "event: lithe.bye\ndata: {\"type\":\"bye\",\"reason\":\"denied\"");
    close(bob);
    check_refused(server, "4", "bob");
    publish(hub, "users.x", "for the others");
    expect(alice, "data: for the others\n");
    close(alice);
}

/* Only what was revoked is lost. */
static void check_channel(lithe_server_t server, lithe_hub_t hub) {
    int carol = listen_as(server, "5", "carol"), alice = listen_as(server, "2", "alice");
    lithe_revocation_t revocation = of_nothing();
    revocation.channel = text("news.*");
    revocation.subject = text("carol");
    revocation.until_ms = ((int64_t)time(NULL) + 1800) * 1000;
    CHECK_OK(lithe_hub_revoke(hub, &revocation));
    expect(carol, "event: lithe.error\ndata: {\"type\":\"error\",\"channel\":\"news.sport\",\"code\":\"denied\"");
    publish(hub, "news.sport", "for alice alone");
    publish(hub, "users.x", "for both");
    expect(alice, "data: for alice alone\n");
    expect(alice, "data: for both\n");
    char got[16384];
    client_read_until(carol, "data: for both\n", got, sizeof got);
    CHECK(strstr(got, "for alice alone") == NULL);
    close(carol);
    close(alice);
}

/* Who lives longer than a revocation is not let in. */
static void check_longest(lithe_server_t server) {
    char header[1024];
    bearer(header, "6", "dave", 3 * HOUR_MS / 1000);
    int client = client_connect(server);
    client_get(client, "/hub/sse?channel=news.sport", header);
    expect(client, "HTTP/1.1 401 ");
    close(client);
    client = client_connect(server);
    client_get(client, "/any/sse?channel=news.sport", header);
    expect(client, "HTTP/1.1 200 OK\r\n");
    close(client);
}

static void check_misuse(lithe_hub_t hub, lithe_hub_t any) {
    lithe_hub_t none = 1;
    lithe_revocation_t revocation = of_nothing();
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation.token_id = text("");
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation.token_id = text("\xff");
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_hub_revoke(hub, &revocation));
    revocation.token_id = text("7");
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_hub_revoke(any, &revocation));
    CHECK(strstr(lithe_last_error(), "longest_token_ms") != NULL);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_hub_revoke(7, &revocation));
    revocation.subject = text("eve");
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation = of_nothing();
    revocation.channel = text("a..b");
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation.channel = text("a.b");
    revocation.until_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation.until_ms = 0;
    revocation.issued_before_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    revocation.size = 8;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_revoke(hub, &revocation));
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    options.longest_token_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &none));
    CHECK(none == 0);
}

int main(void) {
    lithe_server_t server = start();
    lithe_hub_t hub = create(HOUR_MS), any = create(0);
    mount(server, hub, "/hub");
    mount(server, any, "/any");
    check_token(server, hub);
    check_subject(server, hub);
    check_channel(server, hub);
    check_longest(server);
    check_misuse(hub, any);
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_hub_free(hub));
    CHECK_OK(lithe_hub_free(any));
    return 0;
}
