// One request a connection over a plain socket: TLS is on the other side of the test's road.
#pragma once
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "Arduino.h"
#include "WiFiClientSecure.h"

class HTTPClient {
 public:
  void collectHeaders(const char *names[], size_t) { wanted_ = names[0]; }
  void setTimeout(uint16_t) {}
  bool begin(WiFiClientSecure &, const String &url) {
    std::string rest = url.c_str();
    rest = rest.substr(rest.find("://") + 3);
    place_ = rest.substr(0, rest.find('/'));
    path_ = rest.substr(rest.find('/'));
    return true;
  }
  void addHeader(const String &name, const String &value) {
    headers_ += std::string(name.c_str()) + ": " + value.c_str() + "\r\n";
  }
  int POST(const String &body) {
    int wire = open();
    if (wire < 0) return -1;
    std::string text = body.c_str();
    std::string request = "POST " + path_ + " HTTP/1.1\r\nHost: " + place_ + "\r\n" + headers_ +
                          "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
    send(wire, request.data(), request.size(), MSG_NOSIGNAL);
    bool whole = receive(wire);
    close(wire);
    return whole ? std::atoi(answer_.substr(9, 3).c_str()) : -5;
  }
  String header(const char *name) {
    size_t at = wanted_ == name ? head().find("\r\n" + lower(name) + ": ") : std::string::npos;
    return at == std::string::npos ? String() : String(head().substr(at + 4 + wanted_.size()));
  }
  String getString() {
    size_t at = answer_.find("\r\n\r\n");
    return at == std::string::npos ? String() : String(answer_.substr(at + 4));
  }
  void end() {}

 private:
  int open() {
    size_t colon = place_.find(':');
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(place_.substr(0, colon).c_str(), place_.substr(colon + 1).c_str(), &hints,
                    &found))
      return -1;
    int wire = socket(AF_INET, SOCK_STREAM, 0);
    bool there = connect(wire, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!there) close(wire);
    return there ? wire : -1;
  }
  bool receive(int wire) {
    char part[4096];
    answer_.clear();
    for (;;) {
      size_t length = head().find("\r\ncontent-length: ");
      if (length != std::string::npos &&
          answer_.size() >= head().size() + 4 + std::atol(head().c_str() + length + 18))
        return true;
      ssize_t n = recv(wire, part, sizeof part, 0);
      if (n <= 0) return false;
      answer_.append(part, n);
    }
  }
  std::string head() {
    size_t at = answer_.find("\r\n\r\n");
    return at == std::string::npos ? "" : lower(answer_.substr(0, at));
  }
  static std::string lower(std::string text) {
    for (char &c : text) c = static_cast<char>(std::tolower(c));
    return text;
  }
  std::string wanted_, place_, path_, headers_, answer_;
};
