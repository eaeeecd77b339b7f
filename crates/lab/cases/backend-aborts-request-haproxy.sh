# about: haproxy stands between nginx and the application, and rejects a path by closing the connection
# expect: backend-aborts-request
# forbid: backend-crashed, backend-not-running, keepalive-race
# peer: 127.0.0.1:8460
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while reading response header
setup() {
  serve library 127.0.0.1:8461
  cat > /etc/haproxy/haproxy.cfg <<'CONF'
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend library
  bind 127.0.0.1:8460
  http-request reject if { path_beg /admin }
  default_backend library
backend library
  server one 127.0.0.1:8461
CONF
  daemon balancer '/usr/sbin/haproxy -db -f /etc/haproxy/haproxy.cfg'
  listening 127.0.0.1:8460
  proxy_to library http://127.0.0.1:8460
  start_nginx
  get / 5
}
drive() { get /admin/users 4; get / 4; }
