# about: a header of 9000 bytes does not fit into proxy_buffer_size; other pages are fine
# expect: response-header-too-big
# forbid: invalid-response, backend-aborts-request
# peer: 127.0.0.1:8260
# status: 502
# log: upstream sent too big header while reading response header
# fix: yes
setup() {
  gunicorn portal 127.0.0.1:8260 '--workers 2'
  listening 127.0.0.1:8260
  proxy_to portal http://127.0.0.1:8260
  start_nginx
  get / 5
}
drive() { get /header/9000 4; get / 4; }
check() { served /header/9000; }
