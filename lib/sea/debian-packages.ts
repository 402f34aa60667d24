/** The packages of Debian 11 that hold the libraries, with the sums that make a mirror's answer trustworthy. */

export interface DebianPackage {
  readonly file: string;
  readonly sha256: string;
}

/** Folder of all of them, below a mirror's root. */
export const debianPool = 'pool/main/g/gcc-10';

/** gcc-10-base holds the copyright file of the other three. */
export const debianPackages = {
  amd64: [
    {
      file: 'libatomic1_10.2.1-6_amd64.deb',
      sha256: 'e8f1d04653698ab185c1144f35f905a1de87571c12ea630b65be669a2823d8c7',
    },
    {
      file: 'libstdc++6_10.2.1-6_amd64.deb',
      sha256: '5c155c58935870bf3b4bfe769116841c0d286a74f59eccfd5645693ac23f06b1',
    },
    {
      file: 'libgcc-s1_10.2.1-6_amd64.deb',
      sha256: 'e478f2709d8474165bb664de42e16950c391f30eaa55bc9b3573281d83a29daf',
    },
    {
      file: 'gcc-10-base_10.2.1-6_amd64.deb',
      sha256: 'be65535e94f95fbf04b104e8ab36790476f063374430f7dfc6c516cbe2d2cd1e',
    },
  ],
  arm64: [
    {
      file: 'libatomic1_10.2.1-6_arm64.deb',
      sha256: 'd0b8a02896479a6eac49019d71142da9561482759f40eb7aeb15cfdc7d3e39ec',
    },
    {
      file: 'libstdc++6_10.2.1-6_arm64.deb',
      sha256: '7869aa540cc46e9f3d4267d5bde2af0e5b429a820c1d6f1a4cfccfe788c31890',
    },
    {
      file: 'libgcc-s1_10.2.1-6_arm64.deb',
      sha256: 'e2fcdb378d3c1ad1bcb64d4fb6b37aab44011152beca12a4944f435a2582df1f',
    },
    {
      file: 'gcc-10-base_10.2.1-6_arm64.deb',
      sha256: '7d782bece7b4a36bed045a7e17d17244cb8f7e4732466091b01412ebf215defb',
    },
  ],
} as const satisfies Readonly<Record<string, readonly DebianPackage[]>>;
