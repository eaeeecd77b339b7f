# about: the location of the WebSocket does not pass Upgrade on; the server drops a handshake without it
# expect: upgrade-header-mismatch
# forbid: backend-crashed, backend-aborts-request
# peer: 127.0.0.1:8590
# status: 502
# log: handshake without an Upgrade header
setup() {
  node chess 127.0.0.1:8590
  listening 127.0.0.1:8590
  proxy_to chess http://127.0.0.1:8590 'proxy_http_version 1.1;'
  start_nginx
  get / 4
}
drive() {
  get /socket/game 4 -H 'Upgrade: websocket' -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  get / 4
}
