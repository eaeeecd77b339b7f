# about: the event loop of the chat's Node.js never comes back from a computation; the kernel still accepts for it
# expect: backend-hung
# forbid: backend-slow, backend-not-running, listen-queue-overflow
# peer: 127.0.0.1:3052
# status: 504
# log: 110: Connection timed out\) while reading response header
setup() {
  node chat 127.0.0.1:3052
  listening 127.0.0.1:3052
  proxy_to chat http://127.0.0.1:3052 'proxy_read_timeout 1s;'
  start_nginx
  get / 4
}
fault() { hold /spin/90 1; sleep 0.3; }
drive() { get / 2; together / 3; }
