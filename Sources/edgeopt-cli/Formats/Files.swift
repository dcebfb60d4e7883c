import CFormats
import FoundationEssentials
import Glibc

/// All bytes of a file.
func readFile(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { break }
        bytes += piece[..<count]
    }
    guard ferror(file) == 0 else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
    return bytes
}

/// Writes a file whole.
func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    guard let file = fopen(path, "wb") else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
    let written = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, written == bytes.count else {
        throw Failure("\(path): \(String(cString: strerror(errno)))")
    }
}

/// To be asked before hours of work: throws if no file can be written there.
func requireWritable(_ path: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    if isFolder(path) { throw Failure("\(path): is a folder") }
    guard access(folder, W_OK) == 0 else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
}

/// The lines of a text file, without the empty one after the last line break.
func readLines(_ path: String) throws -> [String] {
    var lines = String(decoding: try readFile(path), as: UTF8.self).split(
        separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines.map { $0.hasSuffix("\r") ? String($0.dropLast()) : String($0) }
}

func isFolder(_ path: String) -> Bool {
    var isDirectory = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
}

/// The files of a folder whose names end so, in alphabetical order.
func files(in folder: String, endingWith endings: [String]) throws -> [String] {
    do {
        return try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { name in endings.contains { name.lowercased().hasSuffix($0) } }.sorted().map { "\(folder)/\($0)" }
    } catch {
        throw Failure("\(folder): cannot be listed")
    }
}

/// How many bytes these take deflated at the highest level.
func deflatedSize(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.baseAddress.map { formats_deflated_size($0, bytes.count) } ?? 0
}
