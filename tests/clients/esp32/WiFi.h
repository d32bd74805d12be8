#pragma once
enum wl_status_t { WL_CONNECTED = 3 };
struct WiFiNetwork {
  void begin(const char *, const char *) {}
  wl_status_t status() { return WL_CONNECTED; }
};
inline WiFiNetwork WiFi;
