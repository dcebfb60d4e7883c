# Checks that the Swift toolchain can build what ships.
execute_process(
    COMMAND ${SWIFTC} -print-target-info
    OUTPUT_VARIABLE target_info
    COMMAND_ERROR_IS_FATAL ANY)
string(JSON compiler_version GET "${target_info}" compilerVersion)
string(JSON triple GET "${target_info}" target unversionedTriple)
string(JSON resources GET "${target_info}" paths runtimeResourcePath)

string(REGEX MATCH "Swift version ([0-9.]+)" _ "${compiler_version}")
if(CMAKE_MATCH_1 VERSION_LESS 6.2)
    message(FATAL_ERROR "EdgeOpt needs Swift 6.2 or newer; ${SWIFT} is ${CMAKE_MATCH_1}. See https://www.swift.org/install")
endif()

set(embedded ${resources}/embedded/${triple})
if(NOT EXISTS ${embedded})
    message(FATAL_ERROR "This Swift toolchain has no Embedded Swift for ${triple}: ${embedded} is missing")
endif()
