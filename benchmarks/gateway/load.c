/* A scripted upstream and a closed-loop load generator, each on one thread over epoll.
 *
 *   load serve PORT CHUNKS                           an upstream on loopback
 *   load send PORT PATH CONNECTIONS SECONDS BODIES HEADERS   requests from a file, a body a line
 *
 * The upstream answers a chat completion at once; one that asks for a stream gets CHUNKS events,
 * one each millisecond. The generator keeps every connection busy and prints one line of JSON:
 * answers, those that were not 200 or broke off, seconds, and quantiles of the time to the whole
 * answer and to the first byte of its body, in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST 2048
#define ROOM (1 << 18)

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* ---- the upstream ---- */

static const char *WHOLE =
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"small\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Paris is the capital of "
    "France.\"},\"finish_reason\":\"stop\",\"logprobs\":null}],\"usage\":{\"prompt_tokens\":20,"
    "\"completion_tokens\":8,\"total_tokens\":28}}";

typedef struct {
  int fd, used, left; /* left: events of a stream still to send, -1 where none is under way */
  char in[ROOM];
} Peer;

static void send_all(int fd, const char *text, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) continue;
      return;
    }
    text += sent, size -= sent;
  }
}

static void send_chunk(int fd, const char *event) {
  char out[1024];
  int size = snprintf(out, sizeof out, "%zx\r\n%s\r\n", strlen(event), event);
  send_all(fd, out, size);
}

static void answer(Peer *peer, int chunks, const char *body) {
  if (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true")) {
    const char *head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        "transfer-encoding: chunked\r\n\r\n";
    send_all(peer->fd, head, strlen(head));
    peer->left = chunks;
    return;
  }
  char out[2048];
  int size = snprintf(out, sizeof out,
                      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                      strlen(WHOLE), WHOLE);
  send_all(peer->fd, out, size);
}

static void tick(Peer *peer) {
  const char *event =
      "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"small\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
      "\"finish_reason\":null}]}\n\n";
  const char *last =
      "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"small\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
  const char *usage =
      "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"small\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":50,"
      "\"total_tokens\":70}}\n\n";
  if (peer->left > 0) {
    send_chunk(peer->fd, event);
    peer->left--;
  } else if (peer->left == 0) {
    send_chunk(peer->fd, last);
    send_chunk(peer->fd, usage);
    send_chunk(peer->fd, "data: [DONE]\n\n");
    send_all(peer->fd, "0\r\n\r\n", 5);
    peer->left = -1;
  }
}

/* The length of the first request in the buffer, 0 while it is not whole. */
static int whole_request(Peer *peer, char **body) {
  peer->in[peer->used] = 0;
  char *end = strstr(peer->in, "\r\n\r\n");
  if (!end) return 0;
  *body = end + 4;
  char *given = strcasestr(peer->in, "\r\ncontent-length:");
  if (given && given < end) {
    int length = (int)(*body - peer->in) + atoi(given + 17);
    return peer->used >= length ? length : 0;
  }
  char *last = strstr(*body, "0\r\n\r\n"); /* a chunked request: its end is enough for us */
  if (strcasestr(peer->in, "transfer-encoding: chunked")) return last ? (int)(last + 5 - peer->in) : 0;
  return (int)(*body - peer->in);
}

static void serve(int port, int chunks) {
  static Peer *peers[MOST * 4];
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in at = loopback(port);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) fail("listen");
  int poll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec each = {{0, 1000000}, {0, 1000000}};
  timerfd_settime(timer, 0, &each, NULL);
  struct epoll_event one = {.events = EPOLLIN, .data.fd = listener}, ready[256];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &one);
  one.data.fd = timer;
  epoll_ctl(poll, EPOLL_CTL_ADD, timer, &one);
  for (;;) {
    int count = epoll_wait(poll, ready, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (made < 0 || made >= MOST * 4) continue;
        no_delay(made);
        if (!peers[made]) peers[made] = malloc(sizeof(Peer));
        peers[made]->fd = made, peers[made]->used = 0, peers[made]->left = -1;
        one.data.fd = made;
        epoll_ctl(poll, EPOLL_CTL_ADD, made, &one);
      } else if (fd == timer) {
        uint64_t times;
        if (read(timer, &times, sizeof times) < 0) continue;
        for (int j = 0; j < MOST * 4; j++)
          if (peers[j] && peers[j]->left >= 0)
            for (uint64_t k = 0; k < times && k < 3; k++) tick(peers[j]);
      } else {
        Peer *peer = peers[fd];
        ssize_t got = recv(fd, peer->in + peer->used, ROOM - 1 - peer->used, 0);
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) {
          close(fd);
          peer->left = -1;
          continue;
        }
        peer->used += got;
        char *body;
        for (int size; (size = whole_request(peer, &body)) > 0;) {
          char held = peer->in[size];
          peer->in[size] = 0;
          answer(peer, chunks, body);
          peer->in[size] = held;
          memmove(peer->in, peer->in + size, peer->used - size);
          peer->used -= size;
        }
      }
    }
  }
}

/* ---- the load ---- */

typedef struct {
  int fd, state, bad; /* state: 0 head, 1 counted body, 2 chunk size, 3 chunk, 4 after a chunk, 5 the end */
  long left;
  double began, first;
  char head[16384];
  int used;
} Line;

static char **bodies;
static int body_count, next_body, target;
static const char *path, *headers; /* headers: lines that end with CR LF */
static double *took, *first_byte;
static long answers, bad_answers, room;

static void dial(Line *line, int poll) {
  line->fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = loopback(target);
  if (connect(line->fd, (struct sockaddr *)&at, sizeof at)) fail("connect");
  no_delay(line->fd);
  fcntl(line->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event one = {.events = EPOLLIN, .data.ptr = line};
  epoll_ctl(poll, EPOLL_CTL_ADD, line->fd, &one);
}

static void ask(Line *line) {
  static char out[ROOM];
  const char *body = bodies[next_body++ % body_count];
  int size = snprintf(out, sizeof out,
                      "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n%s"
                      "content-type: application/json\r\naccept: */*\r\nuser-agent: load\r\n"
                      "content-length: %zu\r\n\r\n%s",
                      path, target, headers, strlen(body), body);
  line->state = 0, line->used = 0, line->bad = 0, line->first = 0;
  line->began = now_us();
  send_all(line->fd, out, size);
}

static void ended(Line *line, int whole) {
  double now = now_us();
  if (answers == room) {
    room = room ? room * 2 : 1 << 16;
    took = realloc(took, room * sizeof *took);
    first_byte = realloc(first_byte, room * sizeof *first_byte);
  }
  if (!whole || line->bad) bad_answers++;
  took[answers] = now - line->began;
  first_byte[answers++] = (line->first ? line->first : now) - line->began;
}

/* Takes bytes of an answer; returns 1 when it is whole. */
static int take(Line *line, const char *data, int size) {
  for (int i = 0; i < size;) {
    if (line->state == 0) {
      if (line->used >= (int)sizeof line->head - 1) exit(1);
      line->head[line->used++] = data[i++];
      line->head[line->used] = 0;
      if (line->used < 4 || strcmp(line->head + line->used - 4, "\r\n\r\n")) continue;
      line->bad = strncmp(line->head + 8, " 200", 4) != 0;
      char *given = strcasestr(line->head, "\r\ncontent-length:");
      if (given) {
        line->left = atol(given + 17);
        line->state = 1;
        if (!line->left) return 1;
      } else {
        line->state = 2, line->left = 0;
      }
      continue;
    }
    if (!line->first) line->first = now_us();
    if (line->state == 1 || line->state == 3) {
      long step = size - i < line->left ? size - i : line->left;
      i += step, line->left -= step;
      if (line->left) continue;
      if (line->state == 1) return 1;
      line->state = 4, line->left = 2;
    } else if (line->state == 4) {
      i++;
      if (!--line->left) line->state = 2;
    } else if (line->state == 5) {
      i++;
      if (!--line->left) return 1;
    } else if (data[i] == '\n') {
      i++;
      if (line->left) {
        line->state = 3;
      } else {
        line->state = 5, line->left = 2; /* no trailers here: one empty line ends it */
      }
    } else {
      char c = data[i++];
      int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit >= 0) line->left = line->left * 16 + digit;
    }
  }
  return 0;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(double *values, double q) {
  qsort(values, answers, sizeof *values, by_size);
  return answers ? values[(long)(q * (answers - 1))] : 0;
}

static void read_bodies(const char *file) {
  FILE *in = fopen(file, "r");
  if (!in) fail(file);
  char *text = NULL;
  size_t size = 0;
  ssize_t length;
  while ((length = getline(&text, &size, in)) > 0) {
    if (text[length - 1] == '\n') text[length - 1] = 0;
    bodies = realloc(bodies, (body_count + 1) * sizeof *bodies);
    bodies[body_count++] = strdup(text);
  }
  fclose(in);
}

static int load(int connections, double seconds) {
  static Line lines[MOST];
  int poll = epoll_create1(0);
  double start = now_us(), until = start + seconds * 1e6;
  for (int i = 0; i < connections; i++) dial(&lines[i], poll), ask(&lines[i]);
  struct epoll_event ready[256];
  static char data[1 << 16];
  int open = connections;
  while (open > 0 && now_us() < until + 20e6) {
    int count = epoll_wait(poll, ready, 256, 100);
    for (int i = 0; i < count; i++) {
      Line *line = ready[i].data.ptr;
      ssize_t got = recv(line->fd, data, sizeof data, 0);
      if (got < 0 && errno == EAGAIN) continue;
      int whole = got > 0 && take(line, data, got);
      if (got > 0 && !whole) continue;
      ended(line, whole);
      int closing = got <= 0 || strcasestr(line->head, "\r\nconnection: close") != NULL;
      if (closing) close(line->fd);
      if (now_us() >= until) {
        if (!closing) close(line->fd);
        open--;
        continue;
      }
      if (closing) dial(line, poll);
      ask(line);
    }
  }
  double spent = (now_us() - start) / 1e6;
  printf("{\"answers\": %ld, \"bad\": %ld, \"seconds\": %.4f, ", answers, bad_answers + open, spent);
  printf("\"p50_us\": %.1f, \"p99_us\": %.1f, ", quantile(took, .5), quantile(took, .99));
  printf("\"first_p50_us\": %.1f, \"first_p99_us\": %.1f}\n", quantile(first_byte, .5),
         quantile(first_byte, .99));
  return 0;
}

int main(int count, char **given) {
  if (count == 4 && !strcmp(given[1], "serve")) serve(atoi(given[2]), atoi(given[3])); /* until killed */
  if (count == 8 && !strcmp(given[1], "send")) {
    target = atoi(given[2]), path = given[3], headers = given[7];
    read_bodies(given[6]);
    return load(atoi(given[4]), atof(given[5]));
  }
  fprintf(stderr, "load serve PORT CHUNKS | load send PORT PATH CONNECTIONS SECONDS BODIES HEADERS\n");
  return 2;
}
