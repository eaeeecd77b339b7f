# about: a report waits in a synchronous call and holds the only event loop of a Node.js application: everybody waits for it
# expect: backend-slow
# forbid: backend-hung, backend-not-running, listen-queue-overflow
# peer: 127.0.0.1:3062
# status: 504
# log: 110: Connection timed out\) while reading response header
LOG=timing
setup() {
  node ledger 127.0.0.1:3062
  listening 127.0.0.1:3062
  proxy_to ledger http://127.0.0.1:3062 'proxy_read_timeout 2s;'
  start_nginx
  get / 5
}
drive() { together /block/1.2 6; get / 1; hold /block/1.2 6; sleep 0.3; }
