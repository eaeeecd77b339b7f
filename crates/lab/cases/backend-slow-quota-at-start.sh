# about: the CPU quota held the service back while it started; now one page waits for something else
# expect: backend-slow
# forbid: backend-cpu-throttled
# peer: 127.0.0.1:8385
# status: 504
setup() {
  cat > /srv/warm.sh <<'SH'
/usr/bin/python3 -c 'import time; end = time.time() + 2
while time.time() < end: pass'
exec /usr/bin/python3 /lab/backends/serve.py 127.0.0.1:8385
SH
  daemon climate '/bin/bash /srv/warm.sh' CPUQuota=30%
  listening 127.0.0.1:8385
  proxy_to climate http://127.0.0.1:8385 'proxy_read_timeout 1s;'
  start_nginx
}
drive() { get / 10; get /wait/3 3; get / 5; }
