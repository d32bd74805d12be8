#pragma once
#include <string>
struct WiFiClientSecure {
  void setCACert(const char *pem) { authority = pem; }
  std::string authority;
};
