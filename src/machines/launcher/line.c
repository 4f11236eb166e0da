/*
 * The agent's line of a VMM without a port for it: a serial line whose other end the keeper holds, so that it outlives
 * the daemon. A UML serial line stalls for good when much comes at once, and never tells that the other side hung up.
 * So bytes travel in packets, each way at most as many as the other side granted (guest/agent/serial-line.ts is
 * the other end):
 *
 *   kind (1 byte), count (2 bytes, little endian), then `count` bytes where the kind is data
 *
 * To the daemon it is a socket like QEMU's: one client at a time, bytes as the agent meant them.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kind_data = 1, kind_credit = 2, kind_gone = 3 };
/* What the guest may send before it is granted more (it begins with this), and what we ever send ahead. */
enum { header_bytes = 3, from_guest_window = 64 * 1024, to_guest_most = 2048, grant_from = 16 * 1024 };
enum { listener_at, client_at, guest_at };

static int guest = -1, listener = -1, client = -1;
static unsigned char header[header_bytes];
static size_t header_have, data_left; /* of the packet the guest is sending */
static char for_client[from_guest_window];
static size_t client_from, client_to;
static char for_guest[header_bytes + to_guest_most];
static size_t guest_from, guest_to;
static unsigned credit, owed_credit; /* bytes we may send; bytes we shall grant */
static bool owed_gone;

void open_line(int fd)
{
  guest = fd;
  if (fd < 0) return;
  listener = listen_on("a");
  if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
}

static void put_packet(unsigned char kind, size_t count)
{
  for_guest[0] = (char)kind;
  for_guest[1] = (char)(count & 255);
  for_guest[2] = (char)(count >> 8);
  guest_from = 0;
  guest_to = header_bytes + (kind == kind_data ? count : 0);
}

/* One packet at a time; true when all that was put is on its way. */
static bool flush_guest(void)
{
  while (guest_from < guest_to) {
    ssize_t sent = send(guest, for_guest + guest_from, guest_to - guest_from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0) return false;
    guest_from += (size_t)sent;
  }
  return true;
}

static void drop_client(void)
{
  close(client);
  client = -1;
  owed_credit += (unsigned)(client_to - client_from);
  client_from = client_to = 0;
  owed_gone = true;
}

static void write_client(void)
{
  ssize_t sent = send(client, for_client + client_from, client_to - client_from, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) { if (errno != EAGAIN) drop_client(); return; }
  client_from += (size_t)sent;
  owed_credit += (unsigned)sent;
  if (client_from == client_to) client_from = client_to = 0;
}

static void take_data(const char *bytes, size_t count)
{
  if (client < 0) { owed_credit += (unsigned)count; return; } // whoever comes begins anew
  memcpy(for_client + client_to, bytes, count);
  client_to += count;
}

static void take_header(void)
{
  unsigned count = header[1] | (unsigned)header[2] << 8;
  if (header[0] == kind_data) data_left = count;
  else if (header[0] == kind_credit) credit = credit + count > to_guest_most ? to_guest_most : credit + count;
  header_have = 0;
}

/* @param room bytes that may be taken; whatever the guest sends, no more than that is kept */
static bool read_guest(size_t room)
{
  static char bytes[16 * 1024];
  ssize_t count = read(guest, bytes, room < sizeof bytes ? room : sizeof bytes);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  for (size_t at = 0; at < (size_t)count;) {
    if (data_left == 0) {
      header[header_have++] = (unsigned char)bytes[at++];
      if (header_have == header_bytes) take_header();
      continue;
    }
    size_t part = (size_t)count - at < data_left ? (size_t)count - at : data_left;
    take_data(bytes + at, part);
    data_left -= part;
    at += part;
  }
  return true;
}

/* Room at the end of the buffer; what waits is moved to its front where there is none. */
static size_t room_for_client(void)
{
  if (client_to == sizeof for_client && client_from > 0) {
    memmove(for_client, for_client + client_from, client_to - client_from);
    client_to -= client_from;
    client_from = 0;
  }
  return sizeof for_client - client_to;
}

static void read_client(void)
{
  ssize_t count = read(client, for_guest + header_bytes, credit);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) { drop_client(); return; }
  credit -= (unsigned)count;
  put_packet(kind_data, (size_t)count);
}

/* News for the guest, in the order in which it must hear them. */
static void tell_guest(void)
{
  while (flush_guest()) {
    if (owed_gone) { owed_gone = false; put_packet(kind_gone, 0); }
    else if (owed_credit >= grant_from) {
      unsigned granted = owed_credit > 0xffff ? 0xffff : owed_credit;
      owed_credit -= granted;
      put_packet(kind_credit, granted);
    } else return;
  }
}

void poll_line(struct pollfd *polled)
{
  bool waiting = guest_from < guest_to;
  polled[listener_at] = (struct pollfd){ .fd = client < 0 ? listener : -1, .events = POLLIN };
  polled[client_at] = (struct pollfd){ .fd = client, .events = (short)((credit > 0 && !waiting ? POLLIN : 0) | (client_from < client_to ? POLLOUT : 0)) };
  polled[guest_at] = (struct pollfd){ .fd = guest, .events = (short)((room_for_client() > 0 ? POLLIN : 0) | (waiting ? POLLOUT : 0)) };
}

void serve_line(const struct pollfd *polled)
{
  if (guest < 0) return;
  if (polled[listener_at].revents != 0) client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client >= 0 && polled[client_at].fd == client) {
    if (polled[client_at].revents & POLLOUT) write_client();
    if (client >= 0 && (polled[client_at].revents & POLLIN)) read_client();
    else if (client >= 0 && (polled[client_at].revents & (POLLHUP | POLLERR))) drop_client();
  }
  if ((polled[guest_at].revents & (POLLIN | POLLHUP)) && !read_guest(room_for_client())) {
    close(guest);
    guest = -1; // the VMM is ending; its end is noticed elsewhere
    return;
  }
  if (client >= 0 && client_from < client_to) write_client();
  tell_guest();
}
