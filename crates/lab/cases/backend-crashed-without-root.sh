# about: the program runs as an ordinary user, who may read nginx's logs but not the journal; a process was replaced as requests failed
# expect: backend-crashed
# forbid: backend-crashed, backend-aborts-request
# peer: 127.0.0.1:8395
# status: 502
# user: www-data
setup() {
  node choir 127.0.0.1:8395 '' Restart=always RestartSec=1500ms
  listening 127.0.0.1:8395
  proxy_to choir http://127.0.0.1:8395
  start_nginx
  get / 3
  sleep 1.1
}
drive() { get /throw 1; sleep 2.5; get / 4; }
