# about: proxy_pass points to a socket on which uWSGI speaks its own protocol
# expect: protocol-mismatch
# forbid: backend-aborts-request, backend-crashed, request-header-too-big
# peer: 127.0.0.1:8230
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while reading response header
setup() {
  uwsgi planner '--socket 127.0.0.1:8230' '--processes 2'
  listening 127.0.0.1:8230
  proxy_to planner http://127.0.0.1:8230
  start_nginx
}
drive() { get / 5; }
