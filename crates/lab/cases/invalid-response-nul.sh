# about: a NUL byte in the name of a response header, over a unix socket
# expect: invalid-response
# forbid: protocol-mismatch, response-header-too-big
# peer: unix:/run/sensors.sock
# status: 502
# log: upstream sent invalid header
LOG=json
setup() {
  serve sensors /run/sensors.sock '' 'ExecStartPost=/bin/sh -c "sleep 0.3; chmod 666 /run/sensors.sock"'
  listening /run/sensors.sock
  proxy_to sensors http://unix:/run/sensors.sock:
  start_nginx
  get / 5
}
drive() { get /nul 4; get / 4; }
