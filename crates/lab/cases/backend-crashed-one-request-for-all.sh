# about: one request kills a Node server; nginx gives it to the next one, until all three are down
# expect: backend-crashed
# forbid: backend-start-failed, backend-not-running
# peer: 127.0.0.1:83
# status: 502
setup() {
  for port in 8301 8302 8303; do
    node "tickets-$port" "127.0.0.1:$port" '' Restart=always RestartSec=8
    listening "127.0.0.1:$port"
  done
  vhost tickets <<'CONF'
upstream tickets { server 127.0.0.1:8301; server 127.0.0.1:8302; server 127.0.0.1:8303; }
server { listen 80; server_name tickets.example.org; location / { proxy_pass http://tickets; } }
CONF
  start_nginx
  get / 6
}
drive() { get /throw 1; get / 9; }
