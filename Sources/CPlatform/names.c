// Words that the public header has as tables.
#include "platform.h"
#include "../../include/edgeopt.h"

// Small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *platform_version(void) { return VERSION_TEXT(EO_VERSION_MAJOR, EO_VERSION_MINOR, EO_VERSION_PATCH); }

#define STATUS_NAME(name, number, message)                                                                             \
    case name:                                                                                                         \
        return #name;
#define STATUS_MESSAGE(name, number, message)                                                                          \
    case name:                                                                                                         \
        return message;

const char *platform_status_name(uint32_t status) {
    switch ((eo_status)status) { EO_STATUS_MAP(STATUS_NAME) }
    return "EO_UNKNOWN";
}

const char *platform_status_message(uint32_t status) {
    switch ((eo_status)status) { EO_STATUS_MAP(STATUS_MESSAGE) }
    return "there is no such status";
}
#pragma clang attribute pop
