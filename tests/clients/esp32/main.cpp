// The sketch as a program: it sets up and loops for as many milliseconds as its argument says.
#include "Arduino.h"
#include SKETCH

int main(int, char **arguments) {
  setup();
  while (millis() < static_cast<unsigned long>(std::atol(arguments[1]))) loop();
}
