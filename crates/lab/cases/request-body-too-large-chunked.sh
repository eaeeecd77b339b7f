# about: uploads in chunks exceed client_max_body_size of the API's location; how large they are nobody knows beforehand
# expect: request-body-too-large
# forbid: request-body-rejected, upstream-returned-error
# status: 413
# log: too large chunked body
# fix: yes
setup() {
  node notes 127.0.0.1:8565
  listening 127.0.0.1:8565
  proxy_to notes http://127.0.0.1:8565 'client_max_body_size 64k;'
  start_nginx
  get / 3
  head -c 3000000 /dev/zero > /tmp/note
}
drive() { get /notes 3 -H 'Transfer-Encoding: chunked' --data-binary @/tmp/note; }
check() { served /notes -H 'Transfer-Encoding: chunked' --data-binary @/tmp/note; }
