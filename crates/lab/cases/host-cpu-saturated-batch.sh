# about: a batch job with all the CPU weight starves the application, whose pages need 0.2 s of CPU
# expect: host-cpu-saturated
# forbid: backend-hung, worker-pool-exhausted, backend-cpu-throttled
# peer: 127.0.0.1:8186
# status: 504
# log: 110: Connection timed out\) while reading response header
MAX=4
setup() {
  gunicorn tiles 127.0.0.1:8186 '--workers 3 --threads 4' CPUShares=2 Nice=19
  listening 127.0.0.1:8186
  proxy_to tiles http://127.0.0.1:8186 'proxy_read_timeout 1s;'
  start_nginx
  get /burn/0.2 2
}
fault() {
  daemon batch "/bin/sh -c 'for i in \$(seq \$(( 2 * \$(nproc) ))); do timeout 12 sh -c \"while :; do :; done\" & done; wait'" Nice=-10 CPUShares=100000
  sleep 0.5
}
drive() { together /burn/0.2 4; get /burn/0.2 1; }
