#!/bin/bash
# symbols.sh LIBRARY HEADER: exits 0 if the library exports exactly the header's functions and needs only libc and libm.
set -euo pipefail
library=$1 header=$2

exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort)
declared=$(sed -n 's,^EO_API .*\b\(eo_[a-z0-9_]*\)(.*,\1,p' "$header" | sort -u)
diff <(echo "$exported") <(echo "$declared") || { echo "< exported only, > declared only"; exit 1; }

# The loader itself is named when thread-local variables are used; it belongs to libc.
other=$(readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^(libc\.so\.6|libm\.so\.6|ld-linux.*)$' || true)
[[ -z $other ]] || { echo "needs other libraries: $other"; exit 1; }
echo "$(wc -l <<<"$exported") functions, $(stat -Lc %s "$library") bytes"
