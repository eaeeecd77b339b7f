# about: a phone app gives up after 0.4 s on a search that takes 1.2 s and is answered to everybody who waits; combined log
# expect: client-aborted
# forbid: backend-slow, backend-hung, worker-pool-exhausted
# peer: 127.0.0.1:8510
# status: 000
setup() {
  gunicorn search 127.0.0.1:8510 '--workers 4'
  listening 127.0.0.1:8510
  proxy_to search http://127.0.0.1:8510
  start_nginx
  get / 5
}
drive() { MAX=0.4 together /wait/1.2 3; get /wait/1.2 2; get / 6; sleep 1; }
