# about: haproxy answers 503 by itself, since none of its own servers is up; nginx passes that on
# expect: upstream-returned-error
# also: backend-not-running
# forbid: nginx-returned-error, rate-limited
# peer: 127.0.0.1:8470
# status: 503
LOG=json
setup() {
  cat > /etc/haproxy/haproxy.cfg <<'CONF'
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend museum
  bind 127.0.0.1:8470
  monitor-uri /alive
  default_backend museum
backend museum
  server one 127.0.0.1:8471 check inter 100ms fall 1
CONF
  serve museum 127.0.0.1:8471
  listening 127.0.0.1:8471
  daemon balancer '/usr/sbin/haproxy -db -f /etc/haproxy/haproxy.cfg'
  listening 127.0.0.1:8470
  proxy_to museum http://127.0.0.1:8470
  start_nginx
  get / 5
}
fault() { systemctl stop museum; sleep 0.5; }
drive() { get / 6; get /alive 3; }
