# about: the application is stopped, and every client gives up long before nginx would: the log has 499 alone
# expect: backend-hung
# forbid: client-aborted
# peer: 127.0.0.1:8511
# status: 000
setup() {
  node weather 127.0.0.1:8511
  listening 127.0.0.1:8511
  proxy_to weather http://127.0.0.1:8511
  start_nginx
  get / 5
}
fault() { systemctl kill --signal STOP weather; }
drive() { MAX=0.6 together / 5; }
