/*
 * llmload: a load generator for LLM proxies. One thread, epoll, no dependencies, loopback only.
 *
 *   llmload sat|rate|sse|hold -u http://127.0.0.1:PORT/PATH [options]
 *
 * sat   closed loop: -c connections, as fast as they go
 * rate  open loop: -r requests/s over -c connections; latency counts from the scheduled time
 * sse   closed loop of streams, -c at once: first chunk, one-way delay (the mock's stamp), gaps
 * hold  opens -c streams and keeps them
 *
 * -d seconds  -b FILE body of a POST (none: GET)  -H 'Name: value' (many)
 * -m bytes: a shorter reply counts as short  -k a new connection for each request
 * Prints one JSON object; times are in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t nanos;

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
#define STAMP_DIGITS 19
#define SAMPLES_MAX 20000000
#define HEAD_MAX 8192

struct samples { /* in units of 100 ns */
  uint32_t *at;
  size_t count, room;
};

enum decoder { SIZE, EXTENSION, DATA, DATA_END, TRAILER, TRAILER_LINE };

struct conn {
  int fd;
  bool busy, wants_write, closes, opened;
  size_t sent;
  nanos started, last_chunk;

  bool has_head, is_chunked;
  char head[HEAD_MAX];
  size_t head_length, body_bytes;
  long long content_left; /* -1: no length was announced */

  enum decoder decoder;
  long long chunk_left;
  int stamp_at; /* 0: no stamp begun, 1: after @, 2 + n: after n digits */
  nanos stamp;
};

enum mode { SAT, RATE, SSE, HOLD };

static struct {
  const char *mode_name;
  enum mode mode;
  int connections;
  bool keep_alive;
  double seconds, per_second;
  size_t shortest;
  struct sockaddr_in address;
  char *request;
  size_t request_length;
} plan = {.connections = 16, .keep_alive = true, .seconds = 5, .per_second = 100};

static struct {
  long done, errors, not_200, too_short, chunks, opened, scheduled;
  int last_status;
  uint64_t bytes;
  struct samples latency, first_chunk, one_way, gap;
  char error_body[400];
} seen;

static int epoll_fd;
static struct conn *conns;
static nanos begin_at, end_at;

static nanos now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static bool is_stream_mode(void) { return plan.mode == SSE || plan.mode == HOLD; }

/* ---- samples ---- */

static void add(struct samples *s, nanos duration) {
  if (s->count == s->room) {
    if (s->room >= SAMPLES_MAX) return;
    s->room = s->room ? s->room * 2 : 65536;
    s->at = realloc(s->at, s->room * sizeof *s->at);
  }
  nanos units = duration / 100;
  s->at[s->count++] = units > UINT32_MAX ? UINT32_MAX : units;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static double percentile(const struct samples *s, double part) {
  return s->count ? s->at[(size_t)(part * (s->count - 1) + 0.5)] / 10.0 : 0;
}

/* ---- connections ---- */

static void watch_writes(struct conn *c, bool wanted) {
  if (c->wants_write == wanted) return;
  struct epoll_event event = {EPOLLIN | (wanted ? EPOLLOUT : 0), {c}};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
  c->wants_write = wanted;
}

static void hang_up(struct conn *c) {
  if (c->fd >= 0) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
  }
  c->fd = -1;
  c->wants_write = false;
}

static void fail(struct conn *c) {
  if (c->busy) seen.errors++;
  c->busy = false;
  hang_up(c);
}

static bool dial(struct conn *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) return false;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (struct sockaddr *)&plan.address, sizeof plan.address) &&
      errno != EINPROGRESS) {
    close(c->fd);
    c->fd = -1;
    return false;
  }
  struct epoll_event event = {EPOLLIN | EPOLLOUT, {c}};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
  c->wants_write = true;
  return true;
}

static void push(struct conn *c) {
  while (c->sent < plan.request_length) {
    ssize_t n = send(c->fd, plan.request + c->sent, plan.request_length - c->sent, MSG_NOSIGNAL);
    if (n >= 0) {
      c->sent += n;
    } else if (errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS) {
      watch_writes(c, true);
      return;
    } else {
      fail(c);
      return;
    }
  }
  watch_writes(c, false);
}

static void start(struct conn *c, nanos since) {
  c->busy = true;
  c->closes = c->opened = c->has_head = false;
  c->sent = c->head_length = c->body_bytes = 0;
  c->decoder = SIZE;
  c->chunk_left = 0;
  c->stamp_at = 0;
  c->started = since;
  c->last_chunk = 0;
  if (c->fd >= 0) push(c);
  else if (!dial(c)) fail(c);
}

static void finish(struct conn *c, nanos at) {
  if (at < end_at) {
    seen.done++;
    add(&seen.latency, at - c->started);
  }
  if (c->body_bytes < plan.shortest) seen.too_short++;
  c->busy = false;
  if (c->closes || !plan.keep_alive) hang_up(c);
}

/* ---- replies ---- */

static void on_stamp(struct conn *c, nanos at) {
  seen.chunks++;
  add(&seen.one_way, at > c->stamp ? at - c->stamp : 0);
  if (c->last_chunk) add(&seen.gap, at - c->last_chunk);
  c->last_chunk = at;
  if (c->opened) return;
  c->opened = true;
  seen.opened++;
  add(&seen.first_chunk, at - c->started);
}

/* Finds @T<19 digits>@, also when reads split it. */
static void scan_stamps(struct conn *c, const char *p, size_t length, nanos at) {
  const char *end = p + length;
  while (p < end) {
    if (c->stamp_at == 0) {
      p = memchr(p, '@', end - p);
      if (!p) return;
      p++;
      c->stamp_at = 1;
      continue;
    }
    char ch = *p++;
    if (c->stamp_at == 1) {
      c->stamp_at = ch == 'T' ? 2 : ch == '@';
      c->stamp = 0;
    } else if (ch >= '0' && ch <= '9') {
      c->stamp = c->stamp * 10 + (ch - '0');
      c->stamp_at++;
    } else {
      if (ch == '@' && c->stamp_at == 2 + STAMP_DIGITS) on_stamp(c, at);
      c->stamp_at = 0;
    }
  }
}

static void take(struct conn *c, const char *p, size_t length, nanos at) {
  c->body_bytes += length;
  if (is_stream_mode()) scan_stamps(c, p, length, at);
}

static int hex_digit(char ch) { return ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10; }

/* One byte of framing between the data of chunks; true when the body is complete. */
static bool decode_framing(struct conn *c, char ch) {
  switch (c->decoder) {
    case SIZE:
      if (ch == ';') c->decoder = EXTENSION;
      else if (ch == '\n') c->decoder = c->chunk_left ? DATA : TRAILER;
      else if (ch != '\r') c->chunk_left = c->chunk_left * 16 + hex_digit(ch);
      return false;
    case EXTENSION:
      if (ch == '\n') c->decoder = c->chunk_left ? DATA : TRAILER;
      return false;
    case DATA_END:
      if (ch == '\n') c->decoder = SIZE;
      return false;
    case TRAILER:
      if (ch != '\r' && ch != '\n') c->decoder = TRAILER_LINE;
      return ch == '\n';
    case TRAILER_LINE:
      if (ch == '\n') c->decoder = TRAILER;
      return false;
    case DATA:
      return false;
  }
  return false;
}

/* True when the reply is complete. */
static bool read_body(struct conn *c, const char *p, size_t length, nanos at) {
  if (!c->is_chunked) {
    take(c, p, length, at);
    if (c->content_left < 0) return false;
    c->content_left -= length;
    return c->content_left <= 0;
  }
  while (length) {
    if (c->decoder != DATA) {
      length--;
      if (decode_framing(c, *p++)) return true;
      continue;
    }
    size_t part = (long long)length < c->chunk_left ? length : (size_t)c->chunk_left;
    take(c, p, part, at);
    p += part;
    length -= part;
    c->chunk_left -= part;
    if (!c->chunk_left) c->decoder = DATA_END;
  }
  return false;
}

static void on_head(struct conn *c, const char *rest, size_t rest_length) {
  int status = atoi(c->head + 9);
  const char *length = strcasestr(c->head, "\r\ncontent-length:");
  c->content_left = length ? atoll(length + 17) : -1;
  c->is_chunked = strcasestr(c->head, "\r\ntransfer-encoding:");
  c->closes = strcasestr(c->head, "\r\nconnection: close");
  c->has_head = true;
  seen.last_status = status;
  if (status == 200) return;
  seen.not_200++;
  if (!seen.error_body[0]) {
    size_t kept = rest_length < sizeof seen.error_body ? rest_length : sizeof seen.error_body - 1;
    memcpy(seen.error_body, rest, kept);
  }
}

/* Collects the head; returns how many of the bytes belong to it. */
static size_t read_head(struct conn *c, const char *p, size_t length) {
  size_t before = c->head_length;
  size_t room = HEAD_MAX - 1 - before;
  size_t taken = length < room ? length : room;
  memcpy(c->head + before, p, taken);
  c->head_length += taken;
  c->head[c->head_length] = 0;
  char *end = strstr(c->head, "\r\n\r\n");
  if (!end) {
    if (c->head_length >= HEAD_MAX - 1) fail(c);
    return length;
  }
  size_t used = (end - c->head) + 4 - before;
  if (atoi(c->head + 9) == 100) {
    c->head_length = 0;
    return used;
  }
  end[2] = 0;
  on_head(c, p + used, length - used);
  return used;
}

static void on_bytes(struct conn *c, const char *p, size_t length, nanos at) {
  while (length && c->busy && !c->has_head) {
    size_t used = read_head(c, p, length);
    p += used;
    length -= used;
  }
  if (!c->busy || !c->has_head) return;
  bool complete = c->content_left == 0 && !c->is_chunked;
  if (!complete && length) complete = read_body(c, p, length, at);
  if (complete) finish(c, at);
}

static void on_end(struct conn *c, nanos at) {
  bool ends_the_body = c->busy && c->has_head && !c->is_chunked && c->content_left < 0;
  c->closes = true;
  if (ends_the_body) finish(c, at);
  else fail(c);
}

static void on_readable(struct conn *c) {
  static char bytes[262144];
  while (c->fd >= 0) {
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    nanos at = now();
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail(c);
    else if (n == 0) on_end(c, at);
    if (n <= 0) return;
    seen.bytes += n;
    bool was_busy = c->busy;
    if (was_busy) on_bytes(c, bytes, n, at);
    if ((was_busy && !c->busy) || (size_t)n < sizeof bytes) return;
  }
}

/* ---- the loop ---- */

static struct conn *idle_conn(void) {
  struct conn *unconnected = NULL;
  for (int i = 0; i < plan.connections; i++) {
    struct conn *c = &conns[i];
    if (!c->busy && c->fd >= 0) return c;
    if (!c->busy && !unconnected) unconnected = c;
  }
  return unconnected;
}

/* Sends what is due; returns how long to wait for the next. */
static nanos start_scheduled(void) {
  double interval = SECOND / plan.per_second;
  long due = (now() - begin_at) / interval;
  struct conn *c = NULL;
  while (seen.scheduled < due && (c = idle_conn())) {
    seen.scheduled++;
    start(c, begin_at + (nanos)(seen.scheduled * interval));
  }
  if (seen.scheduled < due) return MILLISECOND;
  nanos next = begin_at + (nanos)((seen.scheduled + 1) * interval), at = now();
  if (next <= at) return 0;
  return next - at < 2 * MILLISECOND ? next - at : 2 * MILLISECOND;
}

/* Keeps every connection busy; streams are opened at 2 per ms (held ones at 1). */
static nanos start_idle(void) {
  long allowed = plan.connections;
  if (is_stream_mode()) {
    long ms = (now() - begin_at) / MILLISECOND;
    long ramp = ms * (plan.mode == HOLD ? 1 : 2) + 1;
    if (ramp < allowed) allowed = ramp;
  }
  for (long i = 0; i < allowed; i++) {
    if (!conns[i].busy) start(&conns[i], now());
  }
  return allowed < plan.connections ? MILLISECOND : 20 * MILLISECOND;
}

static void on_event(struct conn *c, uint32_t events) {
  if (c->fd < 0) return;
  if (events & EPOLLOUT) {
    if (c->busy) push(c);
    else watch_writes(c, false);
  }
  if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
  if (plan.mode == SAT && !c->busy && now() < end_at) start(c, now());
}

static void run(void) {
  struct epoll_event events[512];
  begin_at = now();
  end_at = begin_at + (nanos)(plan.seconds * SECOND);
  while (now() < end_at) {
    nanos pause = plan.mode == RATE ? start_scheduled() : start_idle();
    struct timespec timeout = {0, pause};
    int n = epoll_pwait2(epoll_fd, events, 512, &timeout, NULL);
    for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
  }
}

/* ---- arguments and report ---- */

static bool parse_url(const char *url, char *host, int *port, char *path) {
  if (!url || sscanf(url, "http://%63[^:/]:%d%1023s", host, port, path) < 2) return false;
  plan.address.sin_family = AF_INET;
  plan.address.sin_port = htons(*port);
  if (!inet_aton(strcmp(host, "localhost") ? host : "127.0.0.1", &plan.address.sin_addr)) {
    return false;
  }
  return ntohl(plan.address.sin_addr.s_addr) >> 24 == 127;
}

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *length = ftell(file);
  rewind(file);
  char *bytes = malloc(*length + 1);
  size_t got = fread(bytes, 1, *length, file);
  fclose(file);
  return got == *length ? bytes : NULL;
}

static void build_request(const char *host, int port, const char *path, const char *headers,
                          const char *body, size_t body_length) {
  plan.request = malloc(body_length + 16384);
  char *p = plan.request;
  p += sprintf(p, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%s", body ? "POST" : "GET", path, host, port,
               headers);
  if (!plan.keep_alive) p += sprintf(p, "Connection: close\r\n");
  if (body) p += sprintf(p, "Content-Type: application/json\r\n");
  if (body) p += sprintf(p, "Content-Length: %zu\r\n", body_length);
  p += sprintf(p, "\r\n");
  if (body) p = mempcpy(p, body, body_length);
  plan.request_length = p - plan.request;
}

static bool parse_mode(const char *name) {
  static const char *names[] = {[SAT] = "sat", [RATE] = "rate", [SSE] = "sse", [HOLD] = "hold"};
  for (int i = SAT; i <= HOLD; i++) {
    if (strcmp(name, names[i])) continue;
    plan.mode = i;
    plan.mode_name = names[i];
    return true;
  }
  return false;
}

static int usage(const char *problem) {
  fprintf(stderr, "llmload: %s\nusage: llmload sat|rate|sse|hold -u URL [options]\n", problem);
  return 2;
}

static int parse_arguments(int argc, char **argv) {
  char headers[HEAD_MAX] = "", host[64], path[1024] = "/";
  const char *url = NULL, *body_file = NULL;
  int option, port;
  if (argc < 2 || !parse_mode(argv[1])) return usage("the first argument is the mode");
  optind = 2;
  while ((option = getopt(argc, argv, "u:c:d:b:r:H:m:k")) > 0) {
    if (option == 'u') url = optarg;
    else if (option == 'c') plan.connections = atoi(optarg);
    else if (option == 'd') plan.seconds = atof(optarg);
    else if (option == 'b') body_file = optarg;
    else if (option == 'r') plan.per_second = atof(optarg);
    else if (option == 'm') plan.shortest = atol(optarg);
    else if (option == 'k') plan.keep_alive = false;
    else if (option != 'H') return usage("unknown option");
    else if (strlen(headers) + strlen(optarg) + 3 > sizeof headers) return usage("long headers");
    else strcat(strcat(headers, optarg), "\r\n");
  }
  if (!parse_url(url, host, &port, path)) return usage("-u needs a loopback URL with a port");
  size_t body_length = 0;
  char *body = body_file ? read_file(body_file, &body_length) : NULL;
  if (body_file && !body) return usage("the body can't be read");
  build_request(host, port, path, headers, body, body_length);
  free(body);
  return 0;
}

static void print_samples(const char *name, struct samples *s) {
  if (s->count) qsort(s->at, s->count, sizeof *s->at, by_value);
  printf(",\"%s\":{\"n\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
         name, s->count, percentile(s, 0.5), percentile(s, 0.9), percentile(s, 0.99),
         percentile(s, 0.999), percentile(s, 1));
}

static void print_string(const char *text) {
  putchar('"');
  for (; *text; text++) {
    unsigned char ch = *text;
    if (ch == '"' || ch == '\\') printf("\\%c", ch);
    else putchar(ch < 32 || ch > 126 ? ' ' : ch);
  }
  putchar('"');
}

static void report(void) {
  long due = plan.mode == RATE ? (long)(plan.seconds * plan.per_second) : seen.scheduled;
  printf("{\"mode\":\"%s\",\"done\":%ld,\"rps\":%.1f,\"errors\":%ld,\"not200\":%ld,"
         "\"short\":%ld,\"lastStatus\":%d,\"bytes\":%llu,\"opened\":%ld,\"chunks\":%ld,"
         "\"unsent\":%ld",
         plan.mode_name, seen.done, seen.done / plan.seconds, seen.errors, seen.not_200,
         seen.too_short, seen.last_status, (unsigned long long)seen.bytes, seen.opened,
         seen.chunks, due > seen.scheduled ? due - seen.scheduled : 0);
  print_samples("latency", &seen.latency);
  print_samples("firstChunk", &seen.first_chunk);
  print_samples("oneWay", &seen.one_way);
  print_samples("gap", &seen.gap);
  printf(",\"errorBody\":");
  print_string(seen.error_body);
  printf("}\n");
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  int wrong = parse_arguments(argc, argv);
  if (wrong) return wrong;
  epoll_fd = epoll_create1(0);
  conns = calloc(plan.connections, sizeof *conns);
  for (int i = 0; i < plan.connections; i++) conns[i].fd = -1;
  run();
  report();
  return 0;
}
