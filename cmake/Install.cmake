# The library, its header, and how CMake and pkg-config find them. All of it may be moved after installing.
include(CMakePackageConfigHelpers)

install(FILES
    ${library} ${PROJECT_BINARY_DIR}/lib/${soname} ${PROJECT_BINARY_DIR}/lib/libedgeopt.so
    DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/edgeopt.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/edgeopt)
configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/edgeoptConfig.cmake.in ${PROJECT_BINARY_DIR}/edgeoptConfig.cmake
    INSTALL_DESTINATION ${package_dir}
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
# While the major version is 0, each minor version may change the ABI.
write_basic_package_version_file(
    ${PROJECT_BINARY_DIR}/edgeoptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/edgeoptConfig.cmake ${PROJECT_BINARY_DIR}/edgeoptConfigVersion.cmake
    DESTINATION ${package_dir})

# pkg-config knows where its file lies; everything else is said relative to that.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix /${pc_dir} /)
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
configure_file(${PROJECT_SOURCE_DIR}/edgeopt.pc.in ${PROJECT_BINARY_DIR}/edgeopt.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/edgeopt.pc DESTINATION ${pc_dir})
