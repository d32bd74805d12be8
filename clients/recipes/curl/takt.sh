#!/bin/sh
# Sends readings to Takt: each line of its input is the values of one reading.
#   echo '{"temperature_c": 21.4, "running": true}' | sh takt.sh
TAKT_URL='https://takt.example'
TAKT_KEY='PUT-THE-KEY-HERE'
TAKT_CA='/path/to/ca.pem' # the authority behind the server's certificate; empty: the system's

while read -r values; do
  # Stamped once, here: when it has to be sent again, Takt knows that it is the same reading.
  now=$(date +%s.%3N) seconds=${now%.*} ms=${now#*.}
  case $ms in [0-9][0-9][0-9]) ;; *) ms=000 ;; esac # a `date` of whole seconds
  # No answer, 429 and 5xx: again, when Retry-After says or at longer and longer intervals.
  answer=$(curl -sS --max-time 20 --retry 20 --retry-all-errors --retry-max-time 3600 \
    ${TAKT_CA:+--cacert "$TAKT_CA"} -H "Authorization: Bearer $TAKT_KEY" \
    -H 'Content-Type: application/json' -w '\n%{http_code}' \
    -d "{\"ts\": $seconds$ms, \"values\": $values}" "$TAKT_URL/api/v1/telemetry")
  status=${answer##*
}
  echo "$answer"
  case $status in
    200 | 422) ;; # stored, known already or refused: the answer says which
    *) echo "not sent: $values" >&2; [ "$status" = 401 ] && exit 1 ;;
  esac
done
