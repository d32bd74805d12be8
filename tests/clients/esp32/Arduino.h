// What the sketch uses of the Arduino core, for this machine: enough to compile and run it.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

class String {
 public:
  String(const char *text = "") : text_(text) {}
  String(const std::string &text) : text_(text) {}
  explicit String(int number) : text_(std::to_string(number)) {}
  const char *c_str() const { return text_.c_str(); }
  long toInt() const { return std::atol(text_.c_str()); }
  String &operator+=(const String &other) {
    text_ += other.text_;
    return *this;
  }
  friend String operator+(const String &a, const String &b) { return String(a.text_ + b.text_); }
  friend String operator+(const String &a, const char *b) { return String(a.text_ + b); }
  friend String operator+(const char *a, const String &b) { return String(a + b.text_); }
  friend String operator+(const String &a, unsigned long b) {
    return String(a.text_ + std::to_string(b));
  }
  friend String operator+(const String &a, double b) {  // two decimals, as on the device
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", b);
    return String(a.text_ + text);
  }

 private:
  std::string text_;
};

struct SerialPort {
  void begin(unsigned long) {}
  void println(const String &line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  }
};
inline SerialPort Serial;

inline unsigned long millis() {
  static const auto start = std::chrono::steady_clock::now();
  return static_cast<unsigned long>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::steady_clock::now() - start)
                                        .count());
}
inline void delay(unsigned long ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
inline long random(long from, long below) { return from + std::rand() % (below - from); }
inline uint32_t analogReadMilliVolts(uint8_t) { return 1650; }
inline void configTime(long, int, const char *) {}
