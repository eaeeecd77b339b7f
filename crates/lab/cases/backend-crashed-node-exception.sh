# about: one path of the API throws outside of any handler and takes Node.js down; systemd starts it again, each time
# expect: backend-crashed
# forbid: backend-start-failed, backend-aborts-request, backend-not-running
# peer: 127.0.0.1:3017
# status: 502
# log: TypeError: Cannot read properties of undefined
LOG=timing
setup() {
  node tickets 127.0.0.1:3017 '' Restart=always RestartSec=400ms
  listening 127.0.0.1:3017
  proxy_to tickets http://127.0.0.1:3017
  start_nginx
  get / 5
}
drive() {
  for _ in 1 2; do
    get /throw
    get / 2
    listening 127.0.0.1:3017
    get / 2
  done
}
