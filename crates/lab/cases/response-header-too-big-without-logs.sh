# about: nginx keeps no log at all; one page's cookies do not fit into the buffer, which one request of our own shows
# expect: response-header-too-big
# forbid: invalid-response, backend-aborts-request, upstream-returned-error
# peer: 127.0.0.1:8261
# status: 502
# args: --url http://atrium.example.org/header/9000
setup() {
  gunicorn atrium 127.0.0.1:8261 '--workers 2'
  listening 127.0.0.1:8261
  proxy_to atrium http://127.0.0.1:8261
  LOG=off ERROR_LOG=/dev/null nginx_conf
  touch /lab/nginx.conf
  start_nginx
  get / 3
}
drive() { get /header/9000 2; get / 2; }
