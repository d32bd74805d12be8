// Sends a reading a second to Takt from an ESP32 (Arduino core 2 or later, no further library).
#include <HTTPClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <sys/time.h>
#include <time.h>

const char *TAKT_URL = "https://takt.example";
const char *TAKT_KEY = "PUT-THE-KEY-HERE";
const char *WIFI_NAME = "name of the network";
const char *WIFI_PASSWORD = "its password";
// The authority behind the server's certificate.
const char *TAKT_CA = R"PEM(
PUT-THE-CERTIFICATE-HERE
)PEM";

WiFiClientSecure tls;
const int ROOM = 600;  // ten minutes without network; a longer time loses the oldest readings
String waiting[ROOM];
int first = 0, n = 0;
unsigned long lost = 0, notBefore = 0, waitMs = 1000, measuredAt = 0;

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  tls.setCACert(TAKT_CA);
  configTime(0, 0, "pool.ntp.org");  // a certificate cannot be checked without the time
}

// Stamps a reading once: when it has to be sent again, Takt knows that it is the same.
void keep(const String &values) {
  struct timeval now;
  gettimeofday(&now, nullptr);
  if (now.tv_sec < 1700000000) return;  // the clock is not set yet
  char ts[24];
  snprintf(ts, sizeof ts, "%lld", now.tv_sec * 1000LL + now.tv_usec / 1000);
  if (n == ROOM) { first = (first + 1) % ROOM; n--; lost++; }
  waiting[(first + n++) % ROOM] = String("{\"ts\": ") + ts + ", \"values\": " + values + "}";
}

// Sends the oldest readings; lets go of them only when they are answered for.
void sendSome() {
  if (n == 0 || (long)(millis() - notBefore) < 0 || WiFi.status() != WL_CONNECTED) return;
  int some = n < 20 ? n : 20;
  String body = "[";
  for (int i = 0; i < some; i++) body += (i ? "," : "") + waiting[(first + i) % ROOM];
  body += "]";
  HTTPClient http;
  const char *wanted[] = {"Retry-After"};
  http.collectHeaders(wanted, 1);
  http.setTimeout(20000);
  http.begin(tls, String(TAKT_URL) + "/api/v1/telemetry");
  http.addHeader("Authorization", String("Bearer ") + TAKT_KEY);
  http.addHeader("Content-Type", "application/json");
  int status = http.POST(body);  // negative: no answer
  Serial.println(String(status) + " " + http.getString());
  if (status == 200 || status == 422) {  // stored, duplicates, or refused: the answer says which
    first = (first + some) % ROOM;
    n -= some;
    waitMs = 1000;
  } else {  // again, when Retry-After says or at longer and longer intervals
    long asked = http.header("Retry-After").toInt() * 1000;
    notBefore = millis() + (asked > 0 ? asked : random(waitMs / 2, waitMs));
    waitMs = waitMs < 60000 ? waitMs * 2 : 60000;
  }
  http.end();
}

void loop() {
  if (millis() - measuredAt >= 1000) {
    measuredAt = millis();
    keep(String("{\"voltage\": ") + analogReadMilliVolts(34) / 1000.0 + ", \"lost\": " + lost + "}");
  }
  sendSome();
  delay(10);
}
