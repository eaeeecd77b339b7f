# about: the API drops the connection of one kind of request without an answer, and serves all others
# expect: backend-aborts-request
# forbid: backend-crashed, keepalive-race
# peer: 127.0.0.1:3061
# status: 502
# log: upstream prematurely closed connection while reading response header.*/destroy
LOG=json
setup() {
  node exports 127.0.0.1:3061
  listening 127.0.0.1:3061
  proxy_to exports http://127.0.0.1:3061
  start_nginx
  get / 6
}
drive() { get /destroy 4; get / 6; }
