// What Embedded Swift calls for the instance that an initializer does not finish because it throws, when the properties
// set so far are destroyed. Its own definition (6.3), a weak one, leaves the memory behind. Classes here have no
// superclass, whose properties would be destroyed as well.
#if defined(EDGEOPT_EMBEDDED)
#include <stddef.h>
#include <stdlib.h>

void swift_deallocPartialClassInstance(void *object, const void *class, size_t size, size_t alignment_mask);

void swift_deallocPartialClassInstance(void *object, const void *class, size_t size, size_t alignment_mask) {
    free(object);
}
#endif
