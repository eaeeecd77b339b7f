# about: a worker was killed for memory and replaced; seconds later an operator stops the service
# expect: backend-not-running
# forbid: backend-oom-killed, backend-crashed
# peer: 127.0.0.1:8330
# status: 502
setup() {
  gunicorn museum 127.0.0.1:8330 '--workers 2' MemoryMax=120M MemorySwapMax=0 OOMPolicy=continue
  listening 127.0.0.1:8330
  proxy_to museum http://127.0.0.1:8330
  start_nginx
  get / 4
  curl -s -m 3 http://127.0.0.1:8330/eat/300 || true
  sleep 1
  get / 4
}
fault() { sleep 3; systemctl stop museum; }
drive() { get / 6; }
