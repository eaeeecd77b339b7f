# about: the API reads 1 MiB of an upload and drops the connection, while nginx would take 60 MiB
# expect: request-body-rejected
# forbid: backend-crashed, keepalive-race, request-body-too-large
# peer: 127.0.0.1:8560
# status: 502
# log: upload refused
setup() {
  node photos 127.0.0.1:8560
  listening 127.0.0.1:8560
  proxy_to photos http://127.0.0.1:8560 'client_max_body_size 60m;'
  start_nginx
  get / 4
  head -c 20000000 /dev/zero > /tmp/photo
  head -c 2000 /dev/zero > /tmp/icon
}
drive() { get /upload 4 --data-binary @/tmp/photo; get /upload 3 --data-binary @/tmp/icon; get / 3; }
