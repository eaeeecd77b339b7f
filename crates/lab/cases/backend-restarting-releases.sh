# about: three releases in a row: each restart of gunicorn leaves half a second without a listener; between them all is well
# expect: backend-restarting
# forbid: backend-crashed, backend-start-failed, backend-not-running
# peer: 127.0.0.1:8175
# status: 502
# log: 111: Connection refused.*127.0.0.1:8175
LOG=timing
setup() {
  gunicorn press 127.0.0.1:8175 '--workers 2'
  listening 127.0.0.1:8175
  proxy_to press http://127.0.0.1:8175
  start_nginx
  get / 5
}
drive() {
  for _ in 1 2 3; do
    systemctl restart press
    get / 2
    listening 127.0.0.1:8175
    get / 6
  done
}
