# about: somebody limited the unit to a tenth of a CPU; pages that need 0.3 s of it come too late, on an idle host
# expect: backend-cpu-throttled
# forbid: host-cpu-saturated, backend-hung, worker-pool-exhausted
# peer: unix:/run/charts/charts.sock
# status: 504
# log: 110: Connection timed out\) while reading response header
MAX=5
setup() {
  gunicorn charts unix:/run/charts/charts.sock '--workers 2 --threads 4' RuntimeDirectory=charts CPUQuota=200%
  listening /run/charts/charts.sock
  proxy_to charts http://unix:/run/charts/charts.sock 'proxy_read_timeout 1s;'
  start_nginx
  get /burn/0.1 3
}
fault() { systemctl set-property --runtime charts CPUQuota=10%; }
drive() { together /burn/0.3 4; hold /burn/0.5 2; sleep 0.5; }
