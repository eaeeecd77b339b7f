# about: "localhost" is two peers; both refused while the backend was restarted, and are out for ten more seconds
# expect: passive-health-ejection
# also: backend-restarting
# forbid: backend-not-running, upstream-servers-all-down
# status: 502
# log: no live upstreams
LOG=timing
WORKERS=1
setup() {
  node calendar '[::]:8621'
  listening 127.0.0.1:8621
  proxy_to calendar http://localhost:8621
  start_nginx
  get / 4
}
fault() { systemctl stop calendar; }
drive() {
  get / 2
  systemctl start calendar
  listening 127.0.0.1:8621
  sleep 2.2
  get / 6
}
