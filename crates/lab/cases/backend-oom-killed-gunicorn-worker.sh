# about: a report makes one gunicorn worker exceed the service's memory limit; the master lives on
# expect: backend-oom-killed
# forbid: backend-crashed, backend-aborts-request, backend-worker-timeout
# peer: unix:/run/reports/web.sock
# status: 502
# log: upstream prematurely closed connection
setup() {
  gunicorn reports unix:/run/reports/web.sock '--workers 2' RuntimeDirectory=reports MemoryMax=150M MemorySwapMax=0 OOMPolicy=continue
  listening /run/reports/web.sock
  proxy_to reports http://unix:/run/reports/web.sock
  start_nginx
  get / 4
}
drive() { get /eat/300 2; sleep 1; get / 3; }
