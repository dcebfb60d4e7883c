#include <edgeopt.h>
#include <stdio.h>

int main(void) {
    puts(eo_version());
    return 0;
}
