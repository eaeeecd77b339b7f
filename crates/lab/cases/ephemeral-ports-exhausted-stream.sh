# about: a stream proxy dials one backend from one address, and forty long connections hold every port of the range
# expect: ephemeral-ports-exhausted
# forbid: backend-not-running, no-route-to-upstream, nginx-fd-exhausted, nginx-worker-connections-exhausted
# peer: 10.60.0.2:8590
# status: 000
# log: 99: Cannot assign requested address\) while connecting to upstream
BASE=http://127.0.0.1:8091
setup() {
  neighbour
  serve archive 10.60.0.2:8590 '' "$NEXT_DOOR"
  listening 10.60.0.2:8590
  MAIN='include modules-enabled/*.conf; stream { server { listen 8091; proxy_pass 10.60.0.2:8590; } }' nginx_conf
  touch /lab/nginx.conf
  start_nginx
  get / 3
}
# The clients' own ports lie outside of that range.
fault() { echo 43000 43039 > /proc/sys/net/ipv4/ip_local_port_range; }
drive() { hold /wait/8 40 --local-port 20000-20999; sleep 1; get / 4 --local-port 21000-21999; }
