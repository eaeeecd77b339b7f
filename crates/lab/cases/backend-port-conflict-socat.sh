# about: somebody's debugging tool holds the port of the API, whose Node.js fails with EADDRINUSE at each start
# expect: backend-port-conflict
# forbid: backend-crashed, backend-aborts-request, backend-start-failed
# peer: 127.0.0.1:3100
# status: 502
# log: listen EADDRINUSE: address already in use
setup() {
  node cards 127.0.0.1:3100 '' Restart=on-failure RestartSec=500ms
  listening 127.0.0.1:3100
  proxy_to cards http://127.0.0.1:3100
  start_nginx
  get / 4
}
fault() {
  systemctl stop cards
  setsid socat TCP-LISTEN:3100,bind=127.0.0.1,fork,reuseaddr EXEC:/bin/true < /dev/null > /dev/null 2>&1 &
  listening 127.0.0.1:3100
  systemctl start cards
  sleep 0.6
}
drive() { get / 5; }
