# about: a Node.js service's certificate ran out a day ago, and nginx verifies it
# expect: tls-verify-failed
# forbid: tls-name-mismatch, tls-version-mismatch
# peer: 127.0.0.1:8661
# status: 502
# log: upstream SSL certificate verify error: \(10:certificate has expired\)
setup() {
  mkdir -p /srv/tls
  cd /srv/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=house-ca -days 900 -keyout ca.key -out ca.crt 2> /dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=parcels.internal -keyout parcels.key -out parcels.csr 2> /dev/null
  mkdir new && touch index && echo 01 > serial
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=new\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' > ca.conf
  openssl ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.key -in parcels.csr -out parcels.crt -startdate 20240101000000Z -enddate 20240601000000Z 2> /dev/null
  cat > /srv/parcels.js <<'JS'
const fs = require('fs')
const tls = { key: fs.readFileSync('/srv/tls/parcels.key'), cert: fs.readFileSync('/srv/tls/parcels.crt') }
require('https').createServer(tls, (request, response) => response.end('on its way\n')).listen(8661, '127.0.0.1')
JS
  chmod 644 parcels.key
  daemon parcels '/usr/bin/node /srv/parcels.js' User=www-data
  listening 127.0.0.1:8661
  proxy_to parcels https://127.0.0.1:8661 'proxy_ssl_verify on; proxy_ssl_trusted_certificate /srv/tls/ca.crt; proxy_ssl_name parcels.internal;'
  start_nginx
}
drive() { get / 4; }
