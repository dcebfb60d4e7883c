import Testing

@testable import Model

@Suite struct ReaderTests {
    @Test(arguments: SharedModels.valid) func reads(path: String) throws {
        let model = try Model.open(path: path)
        #expect(!model.subgraphs.isEmpty)
    }

    @Test(arguments: SharedModels.malformed) func malformedGivesASentence(path: String) throws {
        do throws(Failure) {
            _ = try Model.open(path: path)
            print("\(path): read")
        } catch {
            #expect(!error.message.isEmpty)
            print(error.message)
        }
    }
}
