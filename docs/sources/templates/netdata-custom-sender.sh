# For health_alarm_notify.conf. `docurl` is Netdata's own: it calls curl and prints the status of the answer.
# curl encodes each value as a form's, so that no text of an alert can break the message.
custom_sender() {
  local answer
  answer=$(docurl -X POST \
    -H "Authorization: Bearer $(cat "${QUELL_TOKEN_FILE:-/etc/netdata/quell.token}")" \
    --data-urlencode "alert=${name}" \
    --data-urlencode "host=${host}" \
    --data-urlencode "chart=${chart}" \
    --data-urlencode "family=${family}" \
    --data-urlencode "severity=$(echo "${status}" | tr '[:upper:]' '[:lower:]')" \
    --data-urlencode "message=${host}: ${name} = ${value_string}" \
    --data-urlencode "info=${info}" \
    --data-urlencode "date=${when}" \
    "${QUELL_URL:-https://quell.example/v1/ingest/netdata}")
  if [ "${answer}" = "202" ]; then
    sent=$((sent + 1))
  else
    error "Quell answered ${answer}"
  fi
}
