/*
 * mockllm: a mock of an LLM API on loopback. One thread, epoll, no dependencies.
 *
 *   mockllm [port]
 *
 * The "model" in the request body picks the reply, so the choice survives any gateway:
 *   mock-r1500       one JSON completion of about 1500 bytes
 *   mock-n200-t10    an SSE stream of 200 chunks, one every 10 ms (t0: no pause, one write each)
 *   mock-d20-r1500   the same as the others, 20 ms later
 * Paths with "/messages" answer in Anthropic's shape, all others in OpenAI's. GET answers a list
 * of models; GET /stats tells how many requests came and how many streams are open.
 * The text of every SSE chunk holds @T<19 digits>@, CLOCK_MONOTONIC in ns at the write: llmload
 * reads the one-way delay from it.
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

#define TEXT_MAX (1 << 20)
#define HEAD_MAX 65536
#define WHEEL_SLOTS 4096

/* BLOCKED: the rest goes out when the socket takes it, or when a timer fires. */
enum outcome { BROKEN = -1, BLOCKED = 0, FINISHED = 1 };

struct buffer {
  char *bytes;
  size_t length, sent, room;
};

struct conn {
  int fd;
  bool alive, wants_write;
  struct buffer in, out;

  /* the request that is being read */
  size_t head, content, chunk_at; /* head: bytes of the header block, 0 while it is incomplete */
  bool is_chunked, is_get, is_stats;

  /* the reply that is being written */
  bool is_anthropic;
  int chunks, next_chunk, pause_ms, delay_ms; /* chunks: 0 when the reply is no stream */
  size_t reply_bytes;

  /* the timer: a slot's list, the tick it is due at (0: not on the wheel) */
  struct conn *next_in_slot;
  uint64_t due;
};

static int epoll_fd;
static uint64_t tick; /* ms of the wheel */
static struct conn *wheel[WHEEL_SLOTS];
static long timers, requests, open_streams;
static char lorem[TEXT_MAX];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* ---- connections ---- */

static void watch(struct conn *c, int operation) {
  struct epoll_event event = {EPOLLIN | (c->wants_write ? EPOLLOUT : 0), {c}};
  epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void release(struct conn *c) {
  free(c->in.bytes);
  free(c->out.bytes);
  free(c);
}

static void end_stream(struct conn *c) {
  if (c->chunks) open_streams--;
  c->chunks = 0;
}

/* A connection on the wheel is released when its timer fires. */
static void drop(struct conn *c) {
  if (!c->alive) return;
  end_stream(c);
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
  close(c->fd);
  c->alive = false;
  if (!c->due) release(c);
}

static void wake_in(struct conn *c, int ms) {
  c->due = tick + (ms < 1 ? 1 : ms);
  struct conn **slot = &wheel[c->due % WHEEL_SLOTS];
  c->next_in_slot = *slot;
  *slot = c;
  timers++;
}

static void append(struct conn *c, const char *bytes, size_t length) {
  struct buffer *out = &c->out;
  if (out->length + length > out->room && out->sent) {
    memmove(out->bytes, out->bytes + out->sent, out->length - out->sent);
    out->length -= out->sent;
    out->sent = 0;
  }
  if (out->length + length > out->room) {
    out->room = (out->length + length) * 2;
    out->bytes = realloc(out->bytes, out->room);
  }
  memcpy(out->bytes + out->length, bytes, length);
  out->length += length;
}

static enum outcome flush(struct conn *c) {
  struct buffer *out = &c->out;
  bool blocked = false;
  while (out->sent < out->length && !blocked) {
    ssize_t n = send(c->fd, out->bytes + out->sent, out->length - out->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return BROKEN;
    if (n < 0) blocked = true;
    else out->sent += n;
  }
  if (!blocked) out->sent = out->length = 0;
  if (blocked != c->wants_write) {
    c->wants_write = blocked;
    watch(c, EPOLL_CTL_MOD);
  }
  return blocked ? BLOCKED : FINISHED;
}

/* ---- replies ---- */

static const char openai_open[] =
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,"
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
    "\"content\":\"";
static const char openai_close[] =
    "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,"
    "\"completion_tokens\":50,\"total_tokens\":150}}";
static const char anthropic_open[] =
    "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock\","
    "\"content\":[{\"type\":\"text\",\"text\":\"";
static const char anthropic_close[] =
    "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":100,\"output_tokens\":50}}";

static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
static const char anthropic_start[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock\","
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock\",\"content\":[],"
    "\"stop_reason\":null,\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
static const char openai_end[] =
    "data: {\"id\":\"c-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,"
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":200,\"total_tokens\":300}}\n\n"
    "data: [DONE]\n\n";
static const char anthropic_end[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
    "{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":200}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static const char openai_chunk[] =
    "data: {\"id\":\"c-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,"
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@T%019llu@\"},"
    "\"finish_reason\":null}]}\n\n";
static const char anthropic_chunk[] =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"text_delta\",\"text\":\" word@T%019llu@ more\"}}\n\n";
static const char models_list[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1,"
    "\"owned_by\":\"mock\"}]}";

static size_t completion(const struct conn *c, char *to) {
  const char *open = c->is_anthropic ? anthropic_open : openai_open;
  const char *close = c->is_anthropic ? anthropic_close : openai_close;
  size_t fixed = strlen(open) + strlen(close);
  size_t text = c->reply_bytes > fixed ? c->reply_bytes - fixed : 1;
  if (text > sizeof lorem) text = sizeof lorem;
  char *p = mempcpy(to, open, strlen(open));
  p = mempcpy(p, lorem, text);
  p = mempcpy(p, close, strlen(close));
  return p - to;
}

static enum outcome send_json(struct conn *c) {
  static char json[TEXT_MAX + 4096];
  size_t length;
  if (c->is_stats) {
    length = sprintf(json, "{\"requests\":%ld,\"streams\":%ld}", requests, open_streams);
  } else if (c->is_get) {
    length = sprintf(json, "%s", models_list);
  } else {
    length = completion(c, json);
  }
  char head[256];
  int n = sprintf(head,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "x-request-id: req_mock\r\n\r\n",
                  length);
  append(c, head, n);
  append(c, json, length);
  return flush(c);
}

static void append_http_chunk(struct conn *c, const char *bytes, size_t length) {
  char size[20];
  append(c, size, sprintf(size, "%zx\r\n", length));
  append(c, bytes, length);
  append(c, "\r\n", 2);
}

/* Writes the next chunk, or the events that end the stream. */
static enum outcome send_chunk(struct conn *c) {
  if (c->next_chunk < c->chunks) {
    char event[600];
    unsigned long long stamp = now_ns();
    int n = c->is_anthropic ? sprintf(event, anthropic_chunk, stamp)
                            : sprintf(event, openai_chunk, stamp);
    append_http_chunk(c, event, n);
  } else {
    const char *end = c->is_anthropic ? anthropic_end : openai_end;
    append_http_chunk(c, end, strlen(end));
    append(c, "0\r\n\r\n", 5);
  }
  c->next_chunk++;
  return flush(c);
}

static bool is_streaming(const struct conn *c) { return c->chunks && c->next_chunk <= c->chunks; }

/* A stream without pauses: as fast as the socket takes it, one write per chunk. */
static enum outcome pump(struct conn *c) {
  while (is_streaming(c)) {
    enum outcome sent = c->out.sent < c->out.length ? flush(c) : send_chunk(c);
    if (sent == BROKEN) return BROKEN;
    if (sent == BLOCKED && is_streaming(c)) return BLOCKED;
  }
  end_stream(c);
  return FINISHED;
}

static enum outcome pace(struct conn *c) {
  if (send_chunk(c) == BROKEN) return BROKEN;
  if (is_streaming(c)) {
    wake_in(c, c->pause_ms);
    return BLOCKED;
  }
  end_stream(c);
  return FINISHED;
}

static enum outcome continue_stream(struct conn *c) { return c->pause_ms ? pace(c) : pump(c); }

static enum outcome begin_stream(struct conn *c) {
  open_streams++;
  append(c, stream_head, sizeof stream_head - 1);
  if (c->is_anthropic) append_http_chunk(c, anthropic_start, sizeof anthropic_start - 1);
  if (!c->delay_ms) return continue_stream(c);
  wake_in(c, c->delay_ms);
  return BLOCKED;
}

/* ---- requests ---- */

static long number_after(const char *p, const char *end, char letter, long otherwise) {
  for (; p + 2 < end; p++) {
    if (p[0] == '-' && p[1] == letter && p[2] >= '0' && p[2] <= '9') return strtol(p + 2, 0, 10);
  }
  return otherwise;
}

static void plan_reply(struct conn *c, const char *body, size_t length) {
  const char *model = c->is_get ? NULL : memmem(body, length, "mock-", 5);
  const char *limit = body + length;
  const char *end = model;
  while (end && end < limit && *end != '"' && end - model < 64) end++;
  c->next_chunk = 0;
  c->chunks = model ? number_after(model, end, 'n', 0) : 0;
  c->pause_ms = model ? number_after(model, end, 't', 0) : 0;
  c->delay_ms = model ? number_after(model, end, 'd', 0) : 0;
  c->reply_bytes = model ? number_after(model, end, 'r', 1500) : 1500;
}

/* Forgets the request in the buffer; a pipelined one moves to the front. */
static void consume(struct conn *c, size_t used) {
  c->in.length -= used;
  if (c->in.length) memmove(c->in.bytes, c->in.bytes + used, c->in.length);
  c->head = c->content = c->chunk_at = 0;
  c->is_chunked = false;
}

static enum outcome answer(struct conn *c, size_t used) {
  plan_reply(c, c->in.bytes + c->head, used - c->head);
  requests++;
  consume(c, used);
  if (c->chunks) return begin_stream(c);
  if (!c->delay_ms) return send_json(c) == BROKEN ? BROKEN : FINISHED;
  wake_in(c, c->delay_ms);
  return BLOCKED;
}

/* FINISHED: the header block is complete and understood. */
static enum outcome read_head(struct conn *c) {
  char *start = c->in.bytes;
  char *end = c->in.length < 4 ? NULL : memmem(start, c->in.length, "\r\n\r\n", 4);
  if (!end) return c->in.length > HEAD_MAX ? BROKEN : BLOCKED;
  *end = 0;
  char *line_end = strstr(start, "\r\n");
  size_t line = line_end ? (size_t)(line_end - start) : (size_t)(end - start);
  c->is_get = !strncmp(start, "GET ", 4);
  c->is_stats = c->is_get && memmem(start, line, "/stats", 6);
  c->is_anthropic = memmem(start, line, "/messages", 9);
  char *length = strcasestr(start, "\r\ncontent-length:");
  char *coding = strcasestr(start, "\r\ntransfer-encoding:");
  bool asks_to_continue = strcasestr(start, "\r\nexpect: 100");
  c->content = length ? strtoul(length + 17, 0, 10) : 0;
  c->is_chunked = coding && strcasestr(coding, "chunked");
  c->head = c->chunk_at = end - start + 4;
  *end = '\r';
  if (!asks_to_continue) return FINISHED;
  append(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  return flush(c) == BROKEN ? BROKEN : FINISHED;
}

/* Bytes of the whole request, 0 while it is incomplete. */
static size_t request_length(struct conn *c) {
  if (!c->is_chunked) {
    size_t all = c->head + c->content;
    return c->in.length < all ? 0 : all;
  }
  for (;;) {
    char *size = c->in.bytes + c->chunk_at;
    char *line_end = memchr(size, '\n', c->in.length - c->chunk_at);
    if (!line_end) return 0;
    size_t data = strtoul(size, 0, 16);
    size_t next = (line_end - c->in.bytes) + 1 + data + 2;
    if (c->in.length < next) return 0;
    c->chunk_at = next;
    if (!data) return next;
  }
}

/* Answers every complete request in the buffer, until a reply has to wait. */
static bool serve(struct conn *c) {
  while (c->in.length) {
    if (!c->head) {
      enum outcome head = read_head(c);
      if (head != FINISHED) return head != BROKEN;
    }
    size_t used = request_length(c);
    if (!used) return true;
    enum outcome answered = answer(c, used);
    if (answered != FINISHED) return answered != BROKEN;
  }
  return true;
}

/* ---- events ---- */

static void accept_all(int listener) {
  int one = 1;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->alive = true;
    c->in.room = 4096;
    c->in.bytes = malloc(c->in.room);
    watch(c, EPOLL_CTL_ADD);
  }
}

/* False when the peer is gone. */
static bool receive(struct conn *c) {
  struct buffer *in = &c->in;
  for (;;) {
    if (in->room - in->length < 2048) {
      in->room *= 2;
      in->bytes = realloc(in->bytes, in->room);
    }
    size_t room = in->room - in->length;
    ssize_t n = recv(c->fd, in->bytes + in->length, room, 0);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN;
    in->length += n;
    if ((size_t)n < room) return true;
  }
}

static void on_event(struct conn *c, uint32_t events) {
  if (events & EPOLLOUT) {
    enum outcome sent = flush(c);
    bool resumes = sent == FINISHED && is_streaming(c) && !c->pause_ms && !c->due;
    if (resumes) sent = pump(c);
    if (sent == BROKEN || (resumes && sent == FINISHED && !serve(c))) {
      drop(c);
      return;
    }
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  bool lives = receive(c);
  bool waits = is_streaming(c) || c->due;
  if (lives && !waits) lives = serve(c);
  if (!lives) drop(c);
}

static void on_timer(struct conn *c) {
  c->due = 0;
  if (!c->alive) {
    release(c);
    return;
  }
  enum outcome done;
  if (c->chunks) done = continue_stream(c);
  else done = send_json(c) == BROKEN ? BROKEN : FINISHED;
  if (done == BROKEN || (done == FINISHED && !serve(c))) drop(c);
}

static void run_timers(void) {
  uint64_t ms = now_ns() / 1000000;
  if (!timers) tick = ms;
  while (tick < ms) {
    tick++;
    struct conn *list = wheel[tick % WHEEL_SLOTS];
    wheel[tick % WHEEL_SLOTS] = NULL;
    while (list) {
      struct conn *c = list;
      list = list->next_in_slot;
      if (c->due > tick) { /* a later turn of the wheel */
        struct conn **slot = &wheel[c->due % WHEEL_SLOTS];
        c->next_in_slot = *slot;
        *slot = c;
        continue;
      }
      timers--;
      on_timer(c);
    }
  }
}

static int listen_on(int port) {
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) return -1;
  return fd;
}

int main(int argc, char **argv) {
  static const char words[] =
      "Lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor. ";
  for (size_t i = 0; i < sizeof lorem; i++) lorem[i] = words[i % (sizeof words - 1)];
  signal(SIGPIPE, SIG_IGN);

  int port = argc > 1 ? atoi(argv[1]) : 9000;
  int listener = listen_on(port);
  if (listener < 0) {
    perror("mockllm: listen");
    return 1;
  }
  epoll_fd = epoll_create1(0);
  struct epoll_event listening = {EPOLLIN, {NULL}};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listening);
  fprintf(stderr, "mockllm on 127.0.0.1:%d\n", port);

  tick = now_ns() / 1000000;
  struct epoll_event events[256];
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 256, timers ? 1 : -1);
    if (!timers) tick = now_ns() / 1000000;
    for (int i = 0; i < n; i++) {
      struct conn *c = events[i].data.ptr;
      if (c) on_event(c, events[i].events);
      else accept_all(listener);
    }
    run_timers();
  }
}
